/**
 * Random scripts of statements that overlap for certain: transactions hold rows, sessions start statements, some of
 * which wait for those, and the transactions end one after the other. The same script runs on PostgreSQL and on the
 * simulated database.
 */
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseBucketId, rowKeyOf } from "@hayloft/base/ids.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import {
  TryAgain,
  type CommitRequest,
  type ExpectedRow,
  type LaneId,
  type NewRow,
  type NodeProcess,
  type ReplacedRow,
  type Session,
  type StoredKey,
} from "@hayloft/engine/sql/database.js"
import { byStoredKey } from "@hayloft/engine/sql/stored-key.js"
import { anyOf } from "./simulated-world.js"

const BUCKET = parseBucketId(1)
const PRESENT: readonly StoredKey[] = [
  { family: "current", key: objectRowKey(BUCKET, objectKeyOfText("a")) },
  { family: "pendingDeletions", key: rowKeyOf("a") },
  { family: "pendingDeletions", key: rowKeyOf("b") },
  { family: "missingShardHints", key: rowKeyOf("a") },
]
const ABSENT: readonly StoredKey[] = [
  { family: "current", key: objectRowKey(BUCKET, objectKeyOfText("b")) },
  { family: "pendingDeletions", key: rowKeyOf("c") },
  { family: "missingShardHints", key: rowKeyOf("b") },
]
const KEYS = [...PRESENT, ...ABSENT]
const LANES: readonly LaneId[] = [
  { incarnation: 1, lane: 0 },
  { incarnation: 1, lane: 1 },
  { incarnation: 2, lane: 0 },
  { incarnation: 2, lane: 1 },
]
const [FIRST_COUNT, THIRD_COUNT, OTHER_COUNT] = [rowKeyOf("a"), rowKeyOf("b"), rowKeyOf("\xffc")]
const NO_USAGE = { usage: [], newUsage: [], droppedUsage: [] }
/** Rows of the beginning have these versions, by index; commits of the script those from 100 on. */
const firstVersion = ({ family, key }: StoredKey): bigint =>
  BigInt(PRESENT.findIndex(row => row.family === family && row.key === key) + 1)
const SCRIPT_VERSIONS = 100

export type Hold =
  | { readonly kind: "lock" | "share" | "delete"; readonly key: StoredKey }
  | { readonly kind: "add" | "replace"; readonly key: StoredKey; readonly version: bigint }
  | { readonly kind: "lane"; readonly lane: LaneId }
  | { readonly kind: "store" }

type Step =
  | { readonly kind: "commit"; readonly request: CommitRequest }
  | { readonly kind: "resolve"; readonly lane: LaneId }
  | { readonly kind: "begin"; readonly node: string; readonly highest: number }
  | { readonly kind: "end"; readonly incarnation: number }
  | { readonly kind: "fetch" }
  | { readonly kind: "closeTo"; readonly us: number }

type Event =
  /** A session starts its next step, or will once the one before has ended. */
  | { readonly start: number; readonly step: Step }
  /** A transaction ends. */
  | { readonly release: number; readonly how: "commit" | "rollback" }

export interface Script {
  readonly holds: readonly Hold[]
  readonly events: readonly Event[]
  /** The outcome depends on the order in which the server continues. */
  readonly hasSeveralEnds?: boolean
}

export const SESSIONS = 3
const HOLDS_MAX = 3

export function randomScript(random: Random): Script {
  const holds = randomHolds(random)
  const steps = Array.from({ length: 2 + random.below(4) }, (_, at) => ({ start: random.below(SESSIONS), at }))
  const starts = steps.map(({ start, at }): Event => ({ start, step: randomStep(random, at, start) }))
  const releases = holds.map((_, release): Event => ({ release, how: random.below(3) === 0 ? "rollback" : "commit" }))
  // Most statements start before the first release.
  const early = starts.splice(0, 1 + random.below(starts.length))
  const events = [...early]
  while (releases.length + starts.length > 0) {
    const from = starts.length > 0 && random.below(2) === 0 ? starts : releases.length > 0 ? releases : starts
    events.push(...from.splice(random.below(from.length), 1))
  }
  return { holds, events }
}

const rowOf = (family: StoredKey["family"], key: string): StoredKey => ({ family, key: rowKeyOf(key) })
const [ROW_A, ROW_B, ROW_C] = [
  rowOf("pendingDeletions", "a"),
  rowOf("pendingDeletions", "b"),
  rowOf("missingShardHints", "a"),
]
const NEW_ROW = rowOf("missingShardHints", "b")

/** The timestamp of commits; some closed moments are below it, and some are not. */
const COMMIT_US = 1_000

interface Rows {
  readonly replaced?: readonly StoredKey[]
  readonly deleted?: StoredKey
  readonly expected?: StoredKey
  readonly added?: StoredKey
  readonly version?: bigint
  readonly closes?: boolean
}

/** A commit of these rows, which it has read in the beginning; of none: a change of the generation. */
function commitOf(lane: LaneId, { replaced = [], deleted, expected, added, version, closes = false }: Rows): Step {
  const content = { value: Buffer.from("new"), head: undefined, payload: undefined }
  const asRead = (key: StoredKey | undefined): ExpectedRow[] => (key ? [{ ...key, version: firstVersion(key) }] : [])
  const request: CommitRequest = {
    lane,
    from: { number: 0n, generation: 1n },
    version: version ?? BigInt(SCRIPT_VERSIONS + lane.lane),
    firstUs: COMMIT_US,
    lastUs: COMMIT_US + 1,
    closesLanes: closes,
    raisesGeneration: replaced.length === 0 && !deleted && !added,
    counts: [],
    droppedCounters: [],
    ...NO_USAGE,
    expected: asRead(expected),
    replaced: replaced.flatMap(asRead).map(row => ({ ...row, ...content, before: row.version, keepsPayload: true })),
    deleted: asRead(deleted),
    added: added ? [{ ...added, ...content }] : [],
  }
  return { kind: "commit", request }
}

const LANE: LaneId = { incarnation: 1, lane: 0 }
const OTHER_LANE: LaneId = { incarnation: 2, lane: 1 }
const THIRD_LANE: LaneId = { incarnation: 1, lane: 1 }

/** Cases that chance seldom finds. */
export const SCRIPTS_BY_NAME: Readonly<Record<string, Script>> = {
  "a change of the generation waits for an incarnation that begins": {
    holds: [{ kind: "store" }],
    events: [
      { start: 0, step: { kind: "begin", node: "c", highest: 3 } },
      { start: 1, step: commitOf(LANE, {}) },
      { release: 0, how: "commit" },
    ],
  },
  "an incarnation that begins waits for a change of the generation": {
    holds: [{ kind: "store" }],
    events: [
      { start: 0, step: commitOf(LANE, {}) },
      { start: 1, step: { kind: "begin", node: "c", highest: 3 } },
      { release: 0, how: "commit" },
    ],
  },
  "two incarnations of one node begin": {
    holds: [{ kind: "store" }],
    events: [
      { start: 0, step: { kind: "begin", node: "c", highest: 3 } },
      { start: 1, step: { kind: "begin", node: "c", highest: 3 } },
      { release: 0, how: "rollback" },
    ],
  },
  "each of two commits reads what the other changes, in a circle": {
    hasSeveralEnds: true,
    holds: [{ kind: "lock", key: ROW_C }],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_A, ROW_C], expected: ROW_B }) },
      { start: 1, step: commitOf(OTHER_LANE, { replaced: [ROW_B], expected: ROW_A }) },
      { release: 0, how: "rollback" },
    ],
  },
  "a row is deleted and made again with the same version while a commit waits for it": {
    holds: [{ kind: "add", key: NEW_ROW, version: 200n }],
    events: [
      { start: 0, step: commitOf(LANE, { deleted: ROW_A, added: NEW_ROW }) },
      { start: 1, step: commitOf(OTHER_LANE, { replaced: [ROW_A] }) },
      { start: 2, step: commitOf(THIRD_LANE, { added: ROW_A, version: firstVersion(ROW_A) }) },
      { release: 0, how: "rollback" },
    ],
  },
  "a row is added that is present and locked": {
    holds: [{ kind: "lock", key: ROW_A }],
    events: [
      { start: 0, step: commitOf(LANE, { added: ROW_A }) },
      { release: 0, how: "commit" },
    ],
  },
  "a commit that has lost already waits for its other rows": {
    holds: [
      { kind: "lock", key: ROW_C },
      { kind: "replace", key: ROW_B, version: 200n },
    ],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_B, ROW_C] }) },
      { release: 1, how: "commit" },
      { start: 1, step: commitOf(OTHER_LANE, { replaced: [ROW_B, ROW_C] }) },
      { release: 0, how: "commit" },
    ],
  },
  "an outcome is resolved while the commit waits": {
    holds: [{ kind: "lock", key: ROW_A }],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_A] }) },
      { start: 1, step: { kind: "resolve", lane: LANE } },
      { release: 0, how: "rollback" },
    ],
  },
  "a moment is closed while a commit with an earlier timestamp waits, and one arrives": {
    hasSeveralEnds: true,
    holds: [{ kind: "lock", key: ROW_A }],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_A] }) },
      { start: 1, step: { kind: "closeTo", us: COMMIT_US } },
      { start: 2, step: commitOf(OTHER_LANE, { replaced: [ROW_B] }) },
      { release: 0, how: "rollback" },
    ],
  },
  "a commit closes the lanes of others while one with an earlier timestamp waits, and one arrives": {
    hasSeveralEnds: true,
    holds: [{ kind: "lock", key: ROW_A }],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_A] }) },
      { start: 1, step: commitOf(OTHER_LANE, { replaced: [ROW_B], closes: true }) },
      { start: 2, step: commitOf(THIRD_LANE, { deleted: ROW_C }) },
      { release: 0, how: "rollback" },
    ],
  },
  "a moment is closed while an incarnation begins": {
    holds: [{ kind: "store" }],
    events: [
      { start: 0, step: { kind: "begin", node: "a", highest: 3 } },
      { start: 1, step: { kind: "closeTo", us: COMMIT_US } },
      { release: 0, how: "commit" },
    ],
  },
  "an incarnation begins while a moment is closed": {
    holds: [{ kind: "lane", lane: OTHER_LANE }],
    events: [
      { start: 0, step: { kind: "closeTo", us: COMMIT_US } },
      { start: 1, step: { kind: "begin", node: "a", highest: 3 } },
      { release: 0, how: "commit" },
    ],
  },
  "an incarnation is ended while it commits": {
    holds: [{ kind: "lock", key: ROW_A }],
    events: [
      { start: 0, step: commitOf(LANE, { replaced: [ROW_A] }) },
      { start: 1, step: { kind: "end", incarnation: 1 } },
      { start: 2, step: { kind: "begin", node: "a", highest: 3 } },
      { release: 0, how: "rollback" },
    ],
  },
}

function randomHolds(random: Random): readonly Hold[] {
  const targets = new Map<string, Hold>()
  for (let count = random.below(HOLDS_MAX + 1); count > 0; count -= 1) {
    const hold = randomHold(random)
    targets.set("key" in hold ? `${hold.key.family} ${hold.key.key}` : JSON.stringify(hold), hold)
  }
  return [...targets.values()]
}

function randomHold(random: Random): Hold {
  const version = BigInt(SCRIPT_VERSIONS + random.below(6))
  switch (random.below(8)) {
    case 0:
      return { kind: "lane", lane: anyOf(random, LANES) }
    case 1:
      return { kind: "store" }
    case 2:
      return { kind: "add", key: anyOf(random, ABSENT), version }
    case 3:
      return { kind: "replace", key: anyOf(random, PRESENT), version }
    case 4:
      return { kind: "delete", key: anyOf(random, PRESENT) }
    case 5:
      return { kind: "share", key: anyOf(random, PRESENT) }
    default:
      return { kind: "lock", key: anyOf(random, PRESENT) }
  }
}

function randomStep(random: Random, at: number, session: number): Step {
  switch (random.below(14)) {
    case 12:
      return { kind: "closeTo", us: COMMIT_US - 1 + random.below(6) }
    case 0:
      return { kind: "begin", node: anyOf(random, ["a", "b", "c"]), highest: 3 + random.below(2) }
    case 1:
      return { kind: "end", incarnation: 1 + random.below(3) }
    case 2:
      return { kind: "resolve", lane: anyOf(random, LANES) }
    case 3:
      return { kind: "fetch" }
    default:
      return { kind: "commit", request: randomCommit(random, at, session) }
  }
}

/** Mostly what an engine would send: rows as they were, or as another statement of the script leaves them. */
function randomCommit(random: Random, at: number, session: number): CommitRequest {
  const versionOf = (key: StoredKey): bigint => {
    const isFirst = PRESENT.includes(key) && random.below(10) > 0
    return isFirst ? firstVersion(key) : BigInt(SCRIPT_VERSIONS + random.below(6))
  }
  const content = (key: StoredKey): NewRow => ({
    ...key,
    value: Buffer.from(`value ${at}`),
    head: random.below(3) === 0 ? Buffer.from(`head ${at}`) : undefined,
    payload: random.below(3) === 0 ? Buffer.from(`payload ${at}`) : undefined,
  })
  const expected: ExpectedRow[] = []
  const replaced: ReplacedRow[] = []
  const deleted: ExpectedRow[] = []
  const added: NewRow[] = []
  for (const key of [...KEYS].sort(byStoredKey)) {
    if (random.below(3) > 0) continue
    const isPresent = PRESENT.includes(key) ? random.below(12) > 0 : random.below(12) === 0
    const kind = random.below(6)
    if (!isPresent) added.push(content(key))
    else if (kind < 2) expected.push({ ...key, version: versionOf(key) })
    else if (kind < 4) replaced.push({ ...content(key), before: versionOf(key), keepsPayload: random.below(2) === 0 })
    else deleted.push({ ...key, version: versionOf(key) })
  }
  return {
    lane: random.below(10) === 0 ? anyOf(random, LANES) : (LANES[session] ?? anyOf(random, LANES)),
    from: {
      number: BigInt(random.below(10) === 0 ? random.below(3) : 0),
      generation: BigInt(random.below(12) === 0 ? 2 : 1),
    },
    version: BigInt(SCRIPT_VERSIONS + at),
    firstUs: COMMIT_US + at,
    lastUs: COMMIT_US + at + random.below(3),
    raisesGeneration: random.below(5) === 0,
    closesLanes: random.below(5) === 0,
    expected,
    replaced,
    deleted,
    added,
    counts:
      random.below(2) === 0 ? [{ bucketId: BUCKET, change: { objects: at, versions: 1, bytes: 2, uploads: 3 } }] : [],
    droppedCounters: random.below(10) === 0 ? [BUCKET] : [],
    ...randomUsage(random, at),
  }
}

/**
 * Returns what quotas count: often with a limit that other statements may have used up, seldom for a row that is
 * absent.
 */
function randomUsage(random: Random, at: number): Pick<CommitRequest, "usage" | "newUsage" | "droppedUsage"> {
  const usage = { bytes: at - 1, objects: 1, partBytes: at }
  const mostOf = (): number | undefined => (random.below(2) === 0 ? random.below(6) : undefined)
  const added = [FIRST_COUNT, ...(random.below(10) === 0 ? [OTHER_COUNT] : [])].map(key => ({
    key,
    usage,
    bytesBeforeMax: mostOf(),
    objectsBeforeMax: mostOf(),
  }))
  return {
    usage: random.below(3) > 0 ? added : [],
    newUsage: random.below(8) === 0 ? [{ key: OTHER_COUNT, usage }] : [],
    droppedUsage: random.below(10) === 0 ? [random.below(2) === 0 ? THIRD_COUNT : OTHER_COUNT] : [],
  }
}

const processOf = (node: string): NodeProcess => ({ node, process: `process of ${node}` })

/** Two incarnations, and the rows of the beginning. */
export async function prepare(session: Session): Promise<void> {
  await session.begin(processOf("a"), 2, 0)
  await session.begin(processOf("b"), 2, 1)
  const lane = { incarnation: must(await session.begin(processOf("preparing"), 1, 2), "an incarnation"), lane: 0 }
  const nothing = {
    raisesGeneration: false,
    closesLanes: false,
    expected: [],
    replaced: [],
    deleted: [],
    counts: [],
    droppedCounters: [],
  }
  const newUsage = [FIRST_COUNT, THIRD_COUNT].map(key => ({ key, usage: { bytes: 1, objects: 1, partBytes: 0 } }))
  for (const [at, key] of PRESENT.entries()) {
    const row = { ...key, value: Buffer.from("first"), head: undefined, payload: Buffer.from("first payload") }
    const from = { number: BigInt(at), generation: 1n }
    await session.makeChanges({
      ...nothing,
      lane,
      from,
      version: firstVersion(key),
      firstUs: at + 1,
      lastUs: at + 1,
      added: [row],
      ...NO_USAGE,
      ...(at === 0 && { newUsage }),
    })
  }
  await session.end(lane.incarnation)
}

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === "bigint") return Number(each)
    // `Buffer.toJSON` has been called before.
    return each !== null && typeof each === "object" && "data" in each
      ? Buffer.from(each.data as number[]).toString()
      : each
  })

const requestOfAll = (lane: LaneId) =>
  ({ lane, keys: KEYS, ranges: [], counters: [BUCKET], usage: "all", wantsTimestamps: true }) as const

async function perform(session: Session, step: Step): Promise<string> {
  switch (step.kind) {
    case "commit":
      return session.makeChanges(step.request)
    case "resolve":
      return textOf(await session.resolve(step.lane))
    case "begin":
      return textOf(await session.begin(processOf(step.node), 2, step.highest))
    case "end":
      return String(await session.end(step.incarnation))
    case "fetch": {
      const { usage, timestamps, ...found } = await session.fetch(requestOfAll({ incarnation: 1, lane: 0 }))
      return textOf({ ...found, usage: [...usage].sort(), latestUs: timestamps?.latestUs })
    }
    case "closeTo":
      return String(await session.closeTo(step.us))
  }
}

export interface Ground {
  readonly sessions: readonly Session[]
  hold(hold: Hold): Promise<{ end(how: "commit" | "rollback"): Promise<void> }>
  /** Returns once every statement under way has ended or waits for a lock, and none for a deadlock to be broken. */
  settle(underWay: () => number): Promise<void>
}

/** Runs the script, and returns the results of all steps and what is there at the end. */
export async function runScript({ holds, events }: Script, ground: Ground): Promise<string> {
  const held = []
  for (const hold of holds) held.push(await ground.hold(hold))
  const underWay = new Map<number, number>()
  const last = ground.sessions.map(() => Promise.resolve())
  const results: string[] = []
  const sessionOf = (at: number): Session => ground.sessions[at] as Session
  const start = (at: number, step: Step): void => {
    const place = results.push("") - 1
    underWay.set(at, (underWay.get(at) ?? 0) + 1)
    const done = (result: string): void => {
      results[place] = `${step.kind}: ${result}`
      const left = (underWay.get(at) ?? 0) - 1
      if (left > 0) underWay.set(at, left)
      else underWay.delete(at)
    }
    last[at] = Promise.resolve(last[at])
      .then(() => perform(sessionOf(at), step))
      .then(done, (error: unknown) => done(error instanceof TryAgain ? "try again" : String(error)))
  }
  for (const event of events) {
    if ("start" in event) start(event.start, event.step)
    else await held[event.release]?.end(event.how)
    await ground.settle(() => underWay.size)
    results.push(`waiting: ${[...underWay.keys()].sort().join(" ")}`)
  }
  await Promise.all(last)
  return [...results, await stateOf(sessionOf(0))].join("\n")
}

async function stateOf(session: Session): Promise<string> {
  const { live, highest } = await session.incarnations()
  const incarnations = live.map(({ incarnation, node, process }) => `${incarnation} ${node} ${process}`).sort()
  const lanes = [...LANES, ...[4, 5, 6, 7, 8].flatMap(incarnation => [0, 1].map(lane => ({ incarnation, lane })))]
  const states = []
  for (const lane of lanes)
    states.push((await session.fetch({ lane, keys: [], ranges: [], counters: [], usage: [] })).lane)
  const found = await session.fetch(requestOfAll({ incarnation: 1, lane: 0 }))
  const { rows, counters, usage, timestamps } = found
  const latestUs = timestamps?.latestUs
  return textOf({ incarnations, highest, states, rows, counters, usage: [...usage].sort(), latestUs })
}

/** Generations of the lanes that have not ended: all the same, or a change of the generation has missed one. */
export function liveGenerations(outcome: string): readonly number[] {
  const { states } = JSON.parse(outcome.slice(outcome.lastIndexOf("\n") + 1)) as {
    readonly states: readonly ({ readonly generation: number; readonly isEnded: boolean } | null)[]
  }
  return [...new Set(states.flatMap(state => (state === null || state.isEnded ? [] : [state.generation])))]
}
