/**
 * Tests of the checker: hand-made histories, agreement with an exhaustive search of all orders, and detection of
 * changed answers in legal histories.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { seedsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { checkHistory, describeVerdict, HISTORY_LIMITS, settleSeen } from "./check.js"
import { madeVersion } from "./foundlings.js"
import type { Action, Mode, Operation, Outcome, StackEntry } from "./operations.js"
import { Register } from "./register.js"
import type { Stack } from "./register.js"

const op = (startMs: number, endMs: number, action: Action, outcome: Outcome): Operation => ({
  key: "k",
  startMs,
  endMs,
  action,
  outcome,
})
const write = (id: string): Action => ({ kind: "write", value: { write: id, etag: `e${id}` } })
const ifAbsent = (id: string): Action => ({
  kind: "write",
  value: { write: id, etag: `e${id}` },
  condition: { kind: "absent" },
})
const ifMatch = (id: string, etag: string): Action => ({
  kind: "write",
  value: { write: id, etag: `e${id}` },
  condition: { kind: "etag", etag },
})
const read: Action = { kind: "read" }
const remove: Action = { kind: "remove" }
const done: Outcome = { kind: "done" }
const unknown: Outcome = { kind: "unknown" }
const absent: Outcome = { kind: "absent" }
const refused: Outcome = { kind: "refused" }
const found = (id: string): Outcome => ({ kind: "found", write: id, etag: `e${id}` })

const verdictOf = (mode: Mode, operations: readonly Operation[]) => checkHistory(mode, operations)[0]?.verdict

const GOOD: readonly (readonly [title: string, operations: readonly Operation[]])[] = [
  ["read your write", [op(0, 1, write("a"), done), op(2, 3, read, found("a"))]],
  [
    "a read concurrent with a write may see the old or the new value",
    [op(0, 1, write("a"), done), op(2, 9, write("b"), done), op(3, 4, read, found("a")), op(5, 6, read, found("b"))],
  ],
  ["an unknown write may have happened", [op(0, 1, write("a"), unknown), op(2, 3, read, found("a"))]],
  ["an unknown write may never have happened", [op(0, 1, write("a"), unknown), op(2, 3, read, absent)]],
  [
    "an unknown write may happen later",
    [op(0, Infinity, write("a"), unknown), op(2, 3, read, absent), op(4, 5, read, found("a"))],
  ],
  [
    "an unknown deletion explains an empty key",
    [op(0, 1, write("a"), done), op(2, 3, remove, unknown), op(4, 5, read, absent)],
  ],
  [
    "one of two racers wins",
    [op(0, 5, ifAbsent("a"), refused), op(0, 5, ifAbsent("b"), done), op(6, 7, read, found("b"))],
  ],
  [
    "If-Match after the match",
    [
      op(0, 1, write("a"), done),
      op(2, 3, ifMatch("b", "ea"), done),
      op(4, 5, ifMatch("c", "ea"), refused),
      op(6, 7, read, found("b")),
    ],
  ],
  ["If-Match on a missing key", [op(0, 1, ifMatch("a", "x"), absent), op(2, 3, read, absent)]],
  [
    "an unseen unknown write explains a refusal",
    [op(0, 1, write("a"), done), op(2, 3, write("b"), unknown), op(4, 5, ifMatch("c", "ea"), refused)],
  ],
]

const BAD: readonly (readonly [title: string, operations: readonly Operation[]])[] = [
  ["a lost write", [op(0, 1, write("a"), done), op(2, 3, read, absent)]],
  ["a stale read", [op(0, 1, write("a"), done), op(2, 3, write("b"), done), op(4, 5, read, found("a"))]],
  [
    "back in time between two reads",
    [op(0, 1, write("a"), done), op(2, 20, write("b"), done), op(3, 4, read, found("b")), op(5, 6, read, found("a"))],
  ],
  ["a write that nobody sent", [op(0, 1, read, found("x"))]],
  ["a deleted object returns", [op(0, 1, write("a"), done), op(2, 3, remove, done), op(4, 5, read, found("a"))]],
  ["two winners", [op(0, 5, ifAbsent("a"), done), op(0, 5, ifAbsent("b"), done)]],
  ["no winner on an empty key", [op(0, 5, ifAbsent("a"), refused)]],
  [
    "a write of a killed server is seen only after a later write",
    [op(0, 1, write("a"), unknown), op(2, 3, write("b"), done), op(4, 5, read, found("a"))],
  ],
  [
    "an unknown write appears and disappears",
    [op(0, 1, write("a"), unknown), op(2, 3, read, found("a")), op(4, 5, read, absent)],
  ],
  ["seen before it was sent", [op(0, 1, read, found("a")), op(2, 3, write("a"), done)]],
  [
    "If-Match on an ETag that was replaced",
    [op(0, 1, write("a"), done), op(2, 3, write("b"), done), op(4, 5, ifMatch("c", "ea"), done)],
  ],
  ["an ETag of another write", [op(0, 1, write("a"), done), op(2, 3, read, { kind: "found", write: "a", etag: "eb" })]],
]

for (const [title, operations] of GOOD) {
  test(`good: ${title}`, () => assert.equal(verdictOf("never", operations), "legal"))
}
for (const [title, operations] of BAD) {
  test(`bad: ${title}`, () => assert.equal(verdictOf("never", operations), "illegal"))
}

const doneAs = (versionId: string): Outcome => ({ kind: "done", versionId })
const stack = (...entries: readonly string[]): Outcome => ({
  kind: "stack",
  entries: entries.map(entry => ({ versionId: entry.replace("!", ""), marker: entry.startsWith("!") })),
})

test("versions stack up, markers hide, versions are removed permanently", () => {
  const operations = [
    op(0, 1, write("a"), doneAs("1")),
    op(2, 3, write("b"), doneAs("2")),
    op(4, 5, remove, doneAs("3")),
    op(6, 7, read, absent),
    op(8, 9, { kind: "read", versionId: "1" }, found("a")),
    op(10, 11, { kind: "stack" }, stack("!3", "2", "1")),
    op(12, 13, { kind: "remove", versionId: "3" }, done),
    op(14, 15, read, found("b")),
    op(16, 17, { kind: "remove", versionId: "2" }, done),
    op(18, 19, { kind: "stack" }, stack("1")),
  ]
  assert.equal(verdictOf("enabled", operations), "legal")
  for (const bad of [stack("!3", "1", "2"), stack("!3", "2"), stack("!3", "2", "1", "0"), stack("3", "2", "1")]) {
    const changed = operations.map((operation, at) => (at === 5 ? { ...operation, outcome: bad } : operation))
    assert.equal(verdictOf("enabled", changed), "illegal")
  }
})

test("an unknown version takes the id under which it was seen", () => {
  const operations = [
    op(0, 1, write("a"), unknown),
    op(2, 3, read, { kind: "found", write: "a", versionId: "1" }),
    op(4, 5, { kind: "remove", versionId: "1" }, done),
    op(6, 7, read, absent),
  ]
  assert.equal(verdictOf("enabled", operations), "legal")
  assert.equal(verdictOf("enabled", [...operations, op(8, 9, { kind: "stack" }, stack("1"))]), "illegal")
})

test("an unknown version takes the id under which it was listed, or copied from", () => {
  const listed = op(2, 3, { kind: "stack" }, stack("2", "1"))
  const copied = op(4, 5, read, { kind: "found", versionId: "2" })
  for (const seen of [listed, copied]) {
    const operations: readonly Operation[] = [
      op(0, 1, write("a"), doneAs("1")),
      op(0, 1, write("b"), unknown),
      seen,
      op(6, 7, { kind: "remove", versionId: "2" }, done),
      op(8, 9, read, found("a")),
      op(10, 11, { kind: "remove", versionId: "1" }, done),
      op(12, 13, read, absent),
    ]
    assert.equal(verdictOf("enabled", operations), "legal")
    assert.equal(verdictOf("enabled", [...operations, op(14, 15, read, found("b"))]), "illegal")
  }
})

test("a key over the limits is undecided, never legal", () => {
  const operations = Array.from({ length: 20 }, (_, at) => op(at * 2, at * 2 + 1, write(`${at}`), done))
  const [few] = checkHistory("never", operations, { operationsPerKeyMax: 10, stepsMax: 1000 })
  assert.equal(few?.verdict, "undecided")
  const [short] = checkHistory("never", operations, { operationsPerKeyMax: 100, stepsMax: 5 })
  assert.equal(short?.verdict, "undecided")
})

test("a failed verdict shows the operations that could not follow", () => {
  const [verdict] = checkHistory("never", [op(0, 1, write("a"), done), op(2, 3, read, absent)])
  assert.ok(verdict)
  assert.match(describeVerdict(verdict), /could not follow:\n.*"read"/)
})

// Random histories.

type SeededRandom = (below: number) => number

function drawing(seed: number): SeededRandom {
  let state = seed * 2_654_435_761 + 1
  return below => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function randomAction(draw: SeededRandom, id: string, etags: readonly string[]): Action {
  const etag = etags[draw(etags.length)] ?? "none"
  const kinds: readonly Action[] = [
    write(id),
    ifAbsent(id),
    ifMatch(id, etag),
    read,
    read,
    remove,
    { kind: "remove", condition: { kind: "etag", etag } },
  ]
  return kinds[draw(kinds.length)] ?? read
}

/** Returns the answer of a store in which each operation takes effect immediately, and the state after it. */
function answerOf(register: Register, state: Stack, operation: Operation): Operation & { readonly state: Stack } {
  const value = state.top?.value
  const outcomes: readonly Outcome[] =
    operation.action.kind === "read"
      ? [
          value
            ? { kind: "found", write: value.write, ...(value.etag === undefined ? {} : { etag: value.etag }) }
            : absent,
        ]
      : [done, refused, absent]
  for (const outcome of outcomes) {
    const answered = { ...operation, outcome }
    const next = register.step(state, answered)
    if (next) return { ...answered, state: next }
  }
  throw new Error("the model must answer every operation")
}

/** Returns a legal history of one key: operations take effect one by one, at some moment between start and end. */
function legalHistory(draw: SeededRandom, length: number, spread: number, unknownOneIn: number): Operation[] {
  const register = new Register("never")
  let state = register.empty
  const etags: string[] = []
  return Array.from({ length }, (_, at) => {
    const action = randomAction(draw, `w${at}`, etags)
    const [before, after] = [draw(spread), draw(spread)]
    const { state: next, ...answered } = answerOf(
      register,
      state,
      op(at * 4 - before, at * 4 + 1 + after, action, unknown),
    )
    if (action.kind === "write") etags.push(`ew${at}`)
    const lost = action.kind !== "read" && draw(unknownOneIn) === 0
    if (lost && draw(2) === 0) return { ...answered, outcome: unknown }
    state = next
    const endMs = draw(2) === 0 ? Infinity : answered.endMs
    return lost ? { ...answered, endMs, outcome: unknown } : answered
  })
}

/** Changes one answer to another that the same request could have received. */
function changedHistory(draw: SeededRandom, operations: readonly Operation[]): Operation[] {
  const at = draw(operations.length)
  const ids = operations.flatMap(({ action }) => (action.kind === "write" ? [action.value.write] : []))
  return operations.map((operation, place) => {
    if (place !== at || operation.outcome.kind === "unknown") return operation
    const options: readonly Outcome[] =
      operation.action.kind === "read" ? [absent, found(ids[draw(ids.length)] ?? "none")] : [done, refused, absent]
    return { ...operation, outcome: options[draw(options.length)] ?? absent }
  })
}

function idsOf(stack: Stack): string[] {
  const ids: string[] = []
  for (let at: Stack | undefined = stack; at; at = at.below)
    if (at.top?.versionId !== undefined) ids.push(at.top.versionId)
  return ids
}

const shownIds = ({ outcome }: Operation): readonly (string | undefined)[] =>
  outcome.kind === "stack"
    ? outcome.entries.map(({ versionId }) => versionId)
    : outcome.kind === "found"
      ? [outcome.versionId]
      : []

/**
 * Tries every order, every choice of unknown operations that never happened, and all ids of versions whose clients have
 * received none. No two versions have the same id.
 */
function legalByTryingAll(operations: readonly Operation[], mode: Mode = "never"): boolean {
  const register = new Register(mode)
  const ids = new Set([...operations.flatMap(shownIds), undefined])
  const go = (state: Stack, left: readonly Operation[], latestStartMs: number, gone: readonly string[]): boolean => {
    if (left.every(({ outcome }) => outcome.kind === "unknown")) return true
    return left.some(next => {
      const blocked = left.some(
        other => other !== next && other.outcome.kind !== "unknown" && other.endMs < next.startMs,
      )
      if (blocked || next.endMs < latestStartMs) return false
      const { action, outcome } = next
      const isChange = action.kind === "write" || (action.kind === "remove" && action.versionId === undefined)
      const isFree =
        isChange && (outcome.kind === "unknown" || outcome.kind === "done") && madeVersion(next) === undefined
      return [...(isFree ? ids : [undefined])].some(madeId => {
        const after = register.step(state, next, madeId)
        if (after === undefined) return false
        const [before, now] = [idsOf(state), idsOf(after)]
        if (new Set([...now, ...gone]).size < now.length + gone.length) return false
        const rest = left.filter(other => other !== next)
        const lost = before.filter(id => !now.includes(id))
        return go(after, rest, Math.max(latestStartMs, next.startMs), [...gone, ...lost])
      })
    })
  }
  return go(register.empty, operations, -Infinity, [])
}

test("the search agrees with trying every order, on 20,000 short histories", () => {
  let illegal = 0
  const seeds = seedsOf(20_000)
  for (const seed of seeds) {
    const draw = drawing(seed)
    const legal = legalHistory(draw, 2 + draw(6), 14, 4)
    const operations = draw(3) === 0 ? legal : changedHistory(draw, legal)
    const right = legalByTryingAll(operations)
    if (!right) illegal += 1
    assert.equal(verdictOf("never", operations), right ? "legal" : "illegal", `seed ${seed}`)
  }
  assert.ok(illegal > seeds.length / 10, `only ${illegal} of them are illegal`)
})

test("making writes certain that a read returned changes no verdict", () => {
  for (const seed of seedsOf(3_000)) {
    const draw = drawing(seed)
    const operations = changedHistory(draw, legalHistory(draw, 2 + draw(6), 14, 2))
    assert.equal(legalByTryingAll(settleSeen(operations)), legalByTryingAll(operations), `seed ${seed}`)
  }
})

test("unknown writes that nobody saw cost the search nothing", () => {
  // A removal that nobody confirmed must be placed among 200 writes that never happened.
  const lost = Array.from({ length: 200 }, (_, at) => op(at, Infinity, write(`lost${at}`), unknown))
  const seen = [op(0, 1, write("a"), done), op(300, 310, remove, unknown), op(320, 321, read, absent)]
  const limits = { operationsPerKeyMax: 1_000, stepsMax: 50 }
  assert.equal(checkHistory("never", [...lost, ...seen], limits)[0]?.verdict, "legal")
})

test("long legal histories are legal, and a changed answer is detected", () => {
  let [changed, caught] = [0, 0]
  for (const seed of seedsOf(150)) {
    const draw = drawing(seed)
    const operations = legalHistory(draw, 300, 12, 30)
    assert.equal(verdictOf("never", operations), "legal", `seed ${seed}`)
    const at = operations.findIndex(
      ({ action, outcome }, place) => place > 100 && action.kind === "read" && outcome.kind === "found",
    )
    const old = operations.find(({ action, outcome }) => action.kind === "write" && outcome.kind === "done")
    if (at < 0 || old?.action.kind !== "write") continue
    const { write: id, etag } = old.action.value
    const lie: Outcome = { kind: "found", write: id, ...(etag === undefined ? {} : { etag }) }
    changed += 1
    const lied = operations.map((operation, place) => (place === at ? { ...operation, outcome: lie } : operation))
    if (verdictOf("never", lied) === "illegal") caught += 1
  }
  assert.ok(changed > 100 && caught >= changed * 0.99, `${caught} of ${changed} caught`)
})

test("2,000 operations of a dozen concurrent clients, some without an answer, are decided", () => {
  const operations = legalHistory(drawing(TEST_SEED), 2_000, 24, 40)
  assert.equal(verdictOf("never", operations), "legal")
})

// Histories of versions.

interface MadeVersion extends StackEntry {
  readonly write?: string
}

/** `known`: the ids of versions that clients have learned from answers. */
function drawVersionAction(draw: SeededRandom, id: string, known: readonly string[]): Action {
  const versionId = known[draw(known.length)] ?? "none"
  // Some clients do not know the ETag, and some bodies are equal.
  const etag = [`e${id}`, `e${id}`, "equal", undefined][draw(4)]
  const written: Action = { kind: "write", value: { write: id, etag } }
  const kinds: readonly Action[] = [
    written,
    written,
    written,
    remove,
    { kind: "remove", versionId },
    { kind: "stack" },
    read,
  ]
  return kinds[draw(kinds.length)] ?? read
}

/** A legal history of one key with versions: operations take effect one by one, at some moment between start and end. */
function legalVersions(draw: SeededRandom, length: number, spread: number, unknownOneIn: number): Operation[] {
  const known: string[] = []
  let now: readonly MadeVersion[] = []
  const push = (version: MadeVersion): Outcome => {
    now = [version, ...now]
    return { kind: "done", versionId: version.versionId }
  }
  const apply = (action: Action, at: number): Outcome => {
    const [top] = now
    const versionId = `${at}`
    if (action.kind === "stack") return { kind: "stack", entries: now.map(({ write: _, ...entry }) => entry) }
    if (action.kind === "read") return top === undefined || top.marker ? absent : foundVersion(top)
    if (action.kind === "remove" && action.versionId === undefined) return push({ versionId, marker: true })
    if (action.kind === "write")
      return push({ versionId, marker: false, write: action.value.write, etag: action.value.etag ?? `e${at}-1` })
    now = now.filter(version => version.versionId !== action.versionId)
    return done
  }
  return Array.from({ length }, (_, at) => {
    const action = drawVersionAction(draw, `w${at}`, known)
    const [startMs, endMs] = [at * 4 - draw(spread), at * 4 + 1 + draw(spread)]
    const isLost = (action.kind === "write" || action.kind === "remove") && draw(unknownOneIn) === 0
    if (isLost && draw(5) > 0) return op(startMs, endMs, action, unknown)
    const outcome = apply(action, at)
    if (!isLost) known.push(...idsIn(outcome).filter(id => !known.includes(id)))
    return isLost ? op(startMs, draw(2) === 0 ? Infinity : endMs, action, unknown) : op(startMs, endMs, action, outcome)
  })
}

function idsIn(outcome: Outcome): readonly string[] {
  if (outcome.kind === "stack") return outcome.entries.map(({ versionId }) => versionId)
  return (outcome.kind === "done" || outcome.kind === "found") && outcome.versionId !== undefined
    ? [outcome.versionId]
    : []
}

const foundVersion = ({ versionId, etag = "", write: id = "" }: MadeVersion): Outcome => ({
  kind: "found",
  versionId,
  write: id,
  etag,
})

/** Two neighbours of a list change places, or one is left out. */
function changedVersions(draw: SeededRandom, operations: readonly Operation[]): Operation[] {
  const lists = operations.filter(({ outcome }) => outcome.kind === "stack" && outcome.entries.length > 1)
  const changed = lists[draw(lists.length)]
  return operations.map(operation => {
    const { outcome } = operation
    if (operation !== changed || outcome.kind !== "stack") return operation
    const at = draw(outcome.entries.length - 1)
    const [first, second] = [outcome.entries[at], outcome.entries[at + 1]]
    if (first === undefined || second === undefined) return operation
    const entries = outcome.entries.toSpliced(at, 2, ...(draw(2) === 0 ? [second, first] : [second]))
    return { ...operation, outcome: { kind: "stack", entries } }
  })
}

test("the search agrees with trying every order, on 20,000 short histories of versions", () => {
  let illegal = 0
  const seeds = seedsOf(20_000)
  for (const seed of seeds) {
    const draw = drawing(seed)
    const legal = legalVersions(draw, 3 + draw(6), 14, 3)
    const operations = draw(4) === 0 ? legal : changedVersions(draw, legal)
    const right = legalByTryingAll(operations, "enabled")
    if (!right) illegal += 1
    assert.equal(verdictOf("enabled", operations), right ? "legal" : "illegal", `seed ${seed}`)
  }
  assert.ok(illegal > seeds.length / 40, `only ${illegal} of them are illegal`)
})

/** A list shows a version again whose removal had ended before. */
function returnedVersion(draw: SeededRandom, operations: readonly Operation[]): Operation[] | undefined {
  const removals = operations.filter(({ action, outcome }) => outcome.kind === "done" && action.kind === "remove")
  const removal = removals[draw(removals.length)]
  if (removal?.action.kind !== "remove" || removal.action.versionId === undefined) return undefined
  const { versionId } = removal.action
  const list = operations.find(({ action, startMs }) => action.kind === "stack" && startMs > removal.endMs)
  if (list?.outcome.kind !== "stack") return undefined
  const entries = [...list.outcome.entries, { versionId, marker: false }]
  const sorted = entries.sort((left, right) => Number(right.versionId) - Number(left.versionId))
  return operations.map(each => (each === list ? { ...each, outcome: { kind: "stack", entries: sorted } } : each))
}

test("no removed version returns, even if a write without an answer could explain it", () => {
  let returned = 0
  const seeds = seedsOf(1_500)
  for (const seed of seeds) {
    const draw = drawing(seed)
    const operations = returnedVersion(draw, legalVersions(draw, 6 + draw(8), 14, 2))
    if (operations === undefined) continue
    returned += 1
    assert.equal(verdictOf("enabled", operations), "illegal", `seed ${seed}`)
  }
  assert.ok(returned > seeds.length / 20, `only ${returned} versions returned`)
})

test("400 operations on versions, a fifth without an answer, are decided, with far fewer steps than are allowed", () => {
  const limits = { ...HISTORY_LIMITS, stepsMax: HISTORY_LIMITS.stepsMax / 30 }
  for (const seed of [...seedsOf(20), 1_655, 633_465]) {
    const operations = legalVersions(drawing(seed), 400, 24, 5)
    assert.equal(checkHistory("enabled", operations, limits)[0]?.verdict, "legal", `seed ${seed}`)
  }
})
