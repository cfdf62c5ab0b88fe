/** Locks, files, sessions and changes: in single cases, and in random histories beside a model. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Fence, LockMode } from "@hayloft/base/fence.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId, rowKeyOf, type SessionId } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { FileRestoring, isRestorableFile } from "./coord-restoring.js"
import { COORD_LIMITS } from "./limits.js"
import { endSession } from "./session-commands-core.js"
import { Silence } from "./silence-core.js"
import { ACCOUNT, at, CoordWorld } from "./testing-coord.js"

const SECOND_MS = 1_000
const fails =
  (...kinds: Parameters<typeof isFailure>[1][]) =>
  (error: unknown): boolean =>
    kinds.some(kind => isFailure(error, kind))

test("an exclusive lock has one holder, shared ones have several, and they exclude each other", async () => {
  const world = new CoordWorld()
  const [a, b, c] = [await world.begin("a"), await world.begin("b"), await world.begin("c")]
  const fence = await world.take(a, "jobs/x")
  const refused = await world.acquire(b, "jobs/x")
  assert.deepEqual([refused.kind, refused.kind === "held" && refused.lock.holders[0]?.session], ["held", a])
  assert.equal((await world.acquire(b, "jobs/x", "shared")).kind, "held")
  // The same request again has the same answer.
  assert.deepEqual(await world.take(a, "jobs/x"), fence)
  await assert.rejects(world.acquire(a, "jobs/x", "shared"), fails("conflict"))
  assert.equal(await world.coordination.release({ ...at("jobs/x"), session: a }), "released")
  assert.equal(await world.coordination.release({ ...at("jobs/x"), session: a }), "absent")
  const shared = [await world.take(b, "jobs/x", "shared"), await world.take(c, "jobs/x", "shared")]
  assert.equal((await world.acquire(a, "jobs/x")).kind, "held")
  assert.deepEqual(await Promise.all([fence, ...shared].map(each => world.holds(each))), [false, true, true])
  const tokens = [fence, ...shared].map(({ token }) => token)
  assert.deepEqual(
    [...tokens].sort((x, y) => x - y),
    tokens,
  )
  for (const session of [b, c]) await world.coordination.release({ ...at("jobs/x"), session })
  assert.deepEqual(world.rows(), {
    coordSessions: 3,
    coordHoldings: 0,
    coordNamespaces: 1,
    coordFiles: 0,
    coordLocks: 0,
    coordChanges: 6,
  })
})

test("a release that comes late gives up only the acquisition that it names", async () => {
  const world = new CoordWorld()
  const session = await world.begin()
  const { token } = await world.take(session, "jobs/x")
  const release = () => world.coordination.release({ ...at("jobs/x"), session, token })
  assert.equal(await release(), "released")
  const again = await world.take(session, "jobs/x")
  assert.equal(await release(), "absent")
  assert.equal(await world.holds(again), true)
  const other = await world.begin()
  assert.equal((await world.acquire(other, "jobs/x", "exclusive", true)).kind, "waiting")
  assert.equal(await world.coordination.release({ ...at("jobs/x"), session: other, token }), "absent")
  assert.equal((await world.coordination.lock(at("jobs/x")))?.waiting.length, 1)
})

test("sessions get a lock in the order in which they asked, shared ones together", async () => {
  const world = new CoordWorld()
  const sessions: SessionId[] = []
  for (const mode of ["exclusive", "exclusive", "shared", "shared", "exclusive", "shared"] as const) {
    const session = await world.begin()
    sessions.push(session)
    const outcome = await world.acquire(session, "jobs/x", mode, true)
    assert.equal(outcome.kind, sessions.length === 1 ? "acquired" : "waiting")
  }
  const [first, second, third, fourth, fifth, sixth] = sessions
  // A shared one does not pass by an exclusive one that has waited for longer.
  const late = await world.begin()
  assert.equal((await world.acquire(late, "jobs/x", "shared")).kind, "held")
  const release = (session: SessionId | undefined) =>
    world.coordination.release({ ...at("jobs/x"), session: must(session, "a session") })
  assert.equal(await release(fifth), "left")
  assert.deepEqual(await world.holders("jobs/x"), [first])
  await release(first)
  assert.deepEqual(await world.holders("jobs/x"), [second])
  await release(second)
  assert.deepEqual(await world.holders("jobs/x"), [third, fourth, sixth])
})

test("a session that is not renewed ends after its lease and its grace, and its locks go on", async () => {
  const world = new CoordWorld()
  world.endSilent()
  const [dead, alive] = [await world.begin("dead", 5, 2), await world.begin("alive", 5, 2)]
  const fence = await world.take(dead, "jobs/x")
  await world.write("jobs/members/dead", "here", {}, dead)
  assert.equal((await world.acquire(alive, "jobs/x", "exclusive", true)).kind, "waiting")
  const renewing = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await world.clock.advance(SECOND_MS)
      await world.coordination.renew({ account: ACCOUNT, id: alive })
    }
  }
  await renewing(6)
  assert.equal(await world.holds(fence), true)
  await renewing(4)
  assert.equal(await world.holds(fence), false)
  assert.deepEqual(await world.holders("jobs/x"), [alive])
  assert.equal(await world.read("jobs/members/dead"), undefined)
  await assert.rejects(world.coordination.renew({ account: ACCOUNT, id: dead }), fails("noSuchSession"))
  await assert.rejects(world.acquire(dead, "jobs/y"), fails("noSuchSession"))
  assert.deepEqual(await world.changes("jobs"), [
    "acquired jobs/x",
    "written jobs/members/dead",
    "deleted jobs/members/dead",
    "released jobs/x",
    "acquired jobs/x",
  ])
  world.end()
})

test("only time in which the store could be reached counts as silence", () => {
  const silence = new Silence()
  const beat = { account: ACCOUNT, id: "ab".repeat(16) as SessionId, beat: 1, silenceMs: 7_000 }
  assert.deepEqual(silence.observe([beat], 0, 1), [])
  // The process was stopped for an hour.
  assert.deepEqual(silence.observe([beat], 3_600_000, 3_600_001), [])
  assert.deepEqual(silence.observe([beat], 3_602_000, 3_602_001), [])
  assert.deepEqual(silence.observe([beat], 3_604_000, 3_604_001), [])
  assert.deepEqual(silence.observe([{ ...beat, beat: 2 }], 3_606_000, 3_606_001), [])
  for (const at of [3_608_000, 3_610_000, 3_612_000])
    assert.deepEqual(silence.observe([{ ...beat, beat: 2 }], at, at + 1), [])
  assert.equal(silence.observe([{ ...beat, beat: 2 }], 3_614_000, 3_614_001).length, 1)
})

test("a session that was renewed after the last look does not end", async () => {
  const world = new CoordWorld()
  const id = await world.begin()
  const fence = await world.take(id, "jobs/x")
  const { beat } = must(await world.coordination.session({ account: ACCOUNT, id }), "it has begun")
  await world.coordination.renew({ account: ACCOUNT, id })
  assert.equal(await world.coordination.end({ account: ACCOUNT, id }, beat), false)
  assert.equal(await world.holds(fence), true)
  assert.equal(await world.coordination.end({ account: ACCOUNT, id }, beat + 1), true)
  assert.equal(await world.coordination.end({ account: ACCOUNT, id }), false)
  assert.equal(await world.holds(fence), false)
})

test("a principal uses only sessions of its own", async () => {
  const world = new CoordWorld()
  const session = await world.begin()
  await world.take(session, "jobs/x")
  const of = { ...at("jobs/x"), session, by: "other" }
  await assert.rejects(
    world.coordination.renew({ account: ACCOUNT, id: session, by: "other" }),
    fails("accessForbidden"),
  )
  const asked = { mode: "exclusive", waits: false, value: "" } as const
  await assert.rejects(world.coordination.acquire({ ...of, ...asked }), fails("accessForbidden"))
  await assert.rejects(world.coordination.release(of), fails("accessForbidden"))
  const content = Buffer.from("x")
  await assert.rejects(
    world.coordination.write(at("jobs/f"), content, { session, by: "other" }),
    fails("accessForbidden"),
  )
  assert.equal(await world.coordination.release({ ...of, by: "arn" }), "released")
})

test("a request that has waited long enough keeps what it has got meanwhile", async () => {
  const world = new CoordWorld()
  const [a, b, c] = [await world.begin(), await world.begin(), await world.begin()]
  await world.take(a, "jobs/x")
  for (const session of [b, c])
    assert.equal((await world.acquire(session, "jobs/x", "exclusive", true)).kind, "waiting")
  await world.coordination.release({ ...at("jobs/x"), session: a })
  const kept = await world.coordination.release({ ...at("jobs/x"), session: b }, true)
  assert.ok(typeof kept !== "string" && kept.session === b)
  assert.equal(await world.coordination.release({ ...at("jobs/x"), session: c }, true), "left")
  assert.deepEqual(await world.holders("jobs/x"), [b])
})

test("what a session gets while it ends does not outlive it", async () => {
  for (const first of ["EndSession", "AcquireLock", "PutSmallFile"]) {
    const world = new CoordWorld()
    const session = await world.begin()
    await world.take(session, "jobs/a")
    const work: Record<string, () => Promise<unknown>> = {
      EndSession: () => world.coordination.end({ account: ACCOUNT, id: session }),
      AcquireLock: () => world.acquire(session, "jobs/b"),
      PutSmallFile: () => world.write("jobs/f", "x", {}, session),
    }
    const order = [first, ...Object.keys(work).filter(name => name !== first)]
    await Promise.allSettled(order.map(async name => work[name]?.()))
    await world.coordination.end({ account: ACCOUNT, id: session })
    const { coordSessions, coordHoldings, coordFiles, coordLocks } = world.rows()
    assert.deepEqual([coordSessions, coordHoldings, coordFiles, coordLocks], [0, 0, 0, 0])
  }
})

test("files are written whole, with versions that only grow, and with conditions", async () => {
  const world = new CoordWorld()
  const first = await world.write("conf/a", "one")
  await assert.rejects(world.write("conf/a", "x", { ifExists: false }), fails("preconditionFailed"))
  await assert.rejects(world.write("conf/b", "x", { ifExists: true }), fails("preconditionFailed"))
  await assert.rejects(world.write("conf/a", "x", { ifVersion: first + 1 }), fails("preconditionFailed"))
  const second = await world.write("conf/a", "two", { ifVersion: first })
  assert.ok(second > first)
  assert.equal(await world.read("conf/a"), "two")
  await assert.rejects(world.coordination.delete(at("conf/a"), { ifVersion: first }), fails("preconditionFailed"))
  assert.equal(await world.coordination.delete(at("conf/a")), true)
  assert.equal(await world.coordination.delete(at("conf/a")), false)
  assert.ok((await world.write("conf/a", "three", { ifExists: false })) > second)
  const large = Buffer.alloc(COORD_LIMITS.fileBytesMax + 1)
  await assert.rejects(world.coordination.write(at("conf/l"), large), fails("entityTooLarge"))
  await world.coordination.write(at("conf/l"), large.subarray(1))
})

test("a file of a session is written by it alone; others may delete it, and then it ends with nothing", async () => {
  const world = new CoordWorld()
  const session = await world.begin()
  await world.write("up/a", "1", {}, session)
  await world.write("up/b", "1")
  await assert.rejects(world.write("up/a", "2"), fails("conflict"))
  await assert.rejects(world.write("up/a", "2", {}, await world.begin()), fails("conflict"))
  await assert.rejects(world.write("up/b", "2", {}, session), fails("conflict"))
  await world.write("up/a", "2", {}, session)
  await world.coordination.delete(at("up/a"))
  assert.equal(must(await world.coordination.session({ account: ACCOUNT, id: session }), "it goes on").held, 0)
  await world.write("up/a", "3")
  await world.coordination.end({ account: ACCOUNT, id: session })
  assert.equal(await world.read("up/a"), "3")
  const page = await world.coordination.files(ACCOUNT, "up/")
  assert.deepEqual(
    page.found.map(({ path, bytes, session: owner }) => [path, bytes, owner]),
    [
      ["up/a", 1, undefined],
      ["up/b", 1, undefined],
    ],
  )
})

test("a write with a fence is refused once the lock is not held with it any more", async () => {
  const world = new CoordWorld()
  const [a, b] = [await world.begin(), await world.begin()]
  const fence = await world.take(a, "jobs/x")
  await world.write("jobs/state", "1", { fence })
  for (const wrong of [{ token: fence.token + 1 }, { mode: "shared" as const }, at("jobs/y")])
    await assert.rejects(world.write("jobs/state", "x", { fence: { ...fence, ...wrong } }), fails("preconditionFailed"))
  await world.coordination.release({ ...at("jobs/x"), session: a })
  await assert.rejects(world.write("jobs/state", "2", { fence }), fails("preconditionFailed"))
  const next = await world.take(b, "jobs/x")
  await assert.rejects(world.coordination.delete(at("jobs/state"), { fence }), fails("preconditionFailed"))
  await world.write("jobs/state", "3", { fence: next })
  assert.equal(await world.read("jobs/state"), "3")
})

test("changes are kept in their order, the oldest are forgotten, and who asks for those is told", async () => {
  const world = new CoordWorld()
  const { changesMax } = COORD_LIMITS
  const first = await world.write("busy/a", "x")
  for (let i = 1; i < changesMax + 5; i += 1) await world.write(`busy/${i % 7}`, "x")
  const { coordChanges } = world.rows()
  assert.equal(coordChanges, changesMax)
  const watched = { account: ACCOUNT, namespace: "busy", prefix: "busy/" }
  assert.equal(await world.coordination.changes(watched, first), undefined)
  const last = await world.coordination.lastNumber(ACCOUNT, "busy")
  assert.equal(await world.coordination.changes(watched, last + 1), undefined)
  let from = must((await world.coordination.namespaces(ACCOUNT)).found[0], "a namespace").namespace.forgottenNumber
  let seen = 0
  for (;;) {
    const page = must(await world.coordination.changes(watched, from), "they are kept")
    seen += page.changes.length
    from = page.upTo
    if (!page.isMore) break
  }
  assert.deepEqual([seen, from], [changesMax, last])
})

test("changes, locks and files do not mix with those of namespaces whose names begin alike", async () => {
  const world = new CoordWorld()
  const session = await world.begin()
  const names = ["job", "jobs", "jobs-a", "jobs2"]
  for (const name of names) {
    await world.take(session, `${name}/x`)
    await world.write(`${name}/f`, name)
  }
  for (const name of names) {
    assert.deepEqual(await world.changes(name), [`acquired ${name}/x`, `written ${name}/f`])
    const [locks, files] = [
      await world.coordination.locks(ACCOUNT, `${name}/`),
      await world.coordination.files(ACCOUNT, `${name}/`),
    ]
    assert.deepEqual(
      [...locks.found, ...files.found].map(({ path }) => path),
      [`${name}/x`, `${name}/f`],
    )
  }
})

test("who waits is woken by what changes below its prefix, here or at another node", async () => {
  const world = new CoordWorld()
  for (const isOther of [false, true]) {
    const here = isOther ? world.beside() : world.coordination
    let woken = 0
    const watcher = here.watchFor({ account: ACCOUNT, namespace: "ns", prefix: "ns/dir/" })
    watcher.wake = () => (woken += 1)
    await world.clock.advance(COORD_LIMITS.watchEveryMs * 2)
    woken = 0
    await world.write("ns/other", "x")
    await world.write("else/dir/a", "x")
    await world.clock.advance(COORD_LIMITS.watchEveryMs * 2)
    assert.equal(woken, 0)
    await world.write("ns/dir/a", "x")
    await world.clock.advance(COORD_LIMITS.watchEveryMs * 2)
    assert.ok(woken > 0)
    watcher.end()
    assert.equal(here.waiting, 0)
  }
})

test("a path without a slash is followed alone; one that is only asked for counts as no namespace", async () => {
  const world = new CoordWorld()
  for (const path of ["web/a", "web/ab", "web/a/b"]) await world.write(path, "x")
  assert.deepEqual(await world.changes("web", 0, "web/a"), ["written web/a"])
  assert.deepEqual(await world.changes("web", 0, "web/a/"), ["written web/a/b"])
  const gone = await world.begin()
  await world.coordination.end({ account: ACCOUNT, id: gone })
  const { namespacesMax } = COORD_LIMITS
  for (let i = 0; i < namespacesMax; i += 1)
    await assert.rejects(world.acquire(gone, `n${i}/x`), fails("noSuchSession"))
  for (let i = 1; i < namespacesMax; i += 1) await world.write(`n${i}/x`, "x")
  await assert.rejects(world.write("n0/x", "x"), fails("limitExceeded"))
})

test("requests of one account that wait leave room for those of others", async () => {
  const world = new CoordWorld()
  const watched = { account: ACCOUNT, namespace: "ns", prefix: "ns/" }
  const waiters = Array.from({ length: COORD_LIMITS.waitersOfAccountMax }, () => world.coordination.watchFor(watched))
  assert.throws(() => world.coordination.watchFor(watched), fails("tooManyInFlight"))
  const other = world.coordination.watchFor({ ...watched, account: parseAccountId("other") })
  for (const waiter of [...waiters, other]) waiter.end()
  assert.equal(world.coordination.waiting, 0)
  world.coordination.watchFor(watched).end()
})

test("limits: of what a session holds, of who waits, of namespaces", async () => {
  const world = new CoordWorld()
  const session = await world.begin()
  for (let i = 0; i < COORD_LIMITS.heldMax; i += 1) await world.take(session, `many/${i}`)
  await assert.rejects(world.acquire(session, "many/more"), fails("limitExceeded"))
  await world.coordination.release({ ...at("many/0"), session })
  await world.take(session, "many/more")
  await world.coordination.end({ account: ACCOUNT, id: session })
  assert.equal(world.rows()["coordLocks"], 0)
  for (let i = 0; i < COORD_LIMITS.namespacesMax - 1; i += 1) await world.write(`n${i}/a`, "x")
  await assert.rejects(world.write("one-more/a", "x"), fails("limitExceeded"))
  await world.write("n1/b", "x")
})

test("a session ends with locks for which so many wait that one decision cannot give them all", async () => {
  const world = new CoordWorld()
  const holder = await world.begin("holder")
  const locks = Array.from({ length: 10 }, (_, i) => `jobs/${i}`)
  for (const path of locks) await world.take(holder, path)
  const waiting: SessionId[] = []
  for (let i = 0; i < COORD_LIMITS.waitingMax; i += 1) waiting.push(await world.begin(`waits ${i}`))
  const value = "v".repeat(COORD_LIMITS.valueBytesMax)
  for (const [i, path] of locks.entries())
    for (const session of waiting) await world.acquire(session, path, i % 2 === 0 ? "shared" : "exclusive", true, value)

  // Another node may have begun the end, and then have died: after its first decision the session is of no use.
  const steps = [await world.metadata.run(endSession({ account: ACCOUNT, id: holder }, undefined))]
  assert.equal(steps[0]?.isOver, false)
  await assert.rejects(world.coordination.renew({ account: ACCOUNT, id: holder }), fails("noSuchSession"))
  await assert.rejects(world.acquire(holder, "jobs/more"), fails("noSuchSession"))
  assert.equal(await world.coordination.session({ account: ACCOUNT, id: holder }), undefined)

  world.endSilent()
  for (let i = 0; i < 60; i += 1) {
    for (const id of waiting) await world.coordination.renew({ account: ACCOUNT, id })
    await world.clock.advance(SECOND_MS)
  }
  for (const [i, path] of locks.entries()) {
    const holders = await world.holders(path)
    assert.deepEqual(holders, i % 2 === 0 ? waiting : waiting.slice(0, 1), path)
  }
  assert.equal(world.rows()["coordSessions"], waiting.length)
  world.end()
})

test("files come back from a copy unless there are newer ones; all sessions end, and tokens go on growing", async () => {
  const before = new CoordWorld()
  const session = await before.begin()
  await before.write("conf/a", "copied a")
  await before.write("conf/b", "copied b")
  await before.write("conf/member", "x", {}, session)
  await before.write("hayloft/nodes/n", "x")
  const fence = await before.take(session, "jobs/x")
  const rows = [...before.metadata.committed.range("coordFiles", { start: rowKeyOf(""), end: rowKeyOf("\xff") })]
  const copied = rows
    .map(([key, { value }]) => ({ family: "coordFiles" as const, key, value }))
    .filter(isRestorableFile)
  assert.equal(copied.length, 2)
  // The same store goes on after the copy …
  await before.write("conf/a", "newer a")
  const versionOfB = must(await before.coordination.file(at("conf/b")), "b").version
  await before.coordination.delete(at("conf/b"))
  const restoring = new FileRestoring(before.metadata, async () => undefined)
  await restoring.endSessions()
  const bringBack = async () => {
    const back: boolean[] = []
    for (const row of copied) back.push(await restoring.take(row))
    return back
  }
  assert.deepEqual(await bringBack(), [false, true])
  assert.deepEqual([await before.read("conf/a"), await before.read("conf/b")], ["newer a", "copied b"])
  assert.ok(must(await before.coordination.file(at("conf/b")), "b").version > versionOfB)
  assert.equal(await before.holds(fence), false)
  assert.ok((await before.take(await before.begin(), "jobs/x")).token > fence.token)
  // … or another one takes its place.
  const after = new CoordWorld()
  const rescued = new FileRestoring(after.metadata, async () => undefined)
  async function* all() {
    yield* copied
  }
  assert.equal(await rescued.takeAll(all()), 2)
  assert.equal(await after.read("conf/a"), "copied a")
  assert.deepEqual(await bringBack(), [false, false])
})

/** A model of sessions, locks and files. */
class Model {
  readonly sessions = new Set<SessionId>()
  readonly holders = new Map<string, { mode: LockMode; sessions: SessionId[] }>()
  readonly waiting = new Map<string, { mode: LockMode; session: SessionId }[]>()
  readonly files = new Map<string, { text: string; session: SessionId | undefined }>()

  acquire(session: SessionId, path: string, mode: LockMode, waits: boolean): string {
    const now = this.holders.get(path)
    const line = this.waiting.get(path) ?? []
    if (now?.sessions.includes(session) === true) return now.mode === mode ? "acquired" : "conflict"
    const own = line.find(each => each.session === session)
    if (own !== undefined) return own.mode === mode ? "waiting" : "conflict"
    if (line.length === 0 && (now === undefined || (now.mode === "shared" && mode === "shared"))) {
      this.holders.set(path, { mode, sessions: [...(now?.sessions ?? []), session] })
      return "acquired"
    }
    if (waits) this.waiting.set(path, [...line, { mode, session }])
    return waits ? "waiting" : "held"
  }

  release(session: SessionId, path: string): string {
    const now = this.holders.get(path)
    const line = this.waiting.get(path) ?? []
    const holds = now?.sessions.includes(session) === true
    const waits = line.some(each => each.session === session)
    if (holds) {
      const sessions = now.sessions.filter(each => each !== session)
      if (sessions.length === 0) this.holders.delete(path)
      else this.holders.set(path, { ...now, sessions })
    }
    this.waiting.set(
      path,
      line.filter(each => each.session !== session),
    )
    this.grant(path)
    return holds ? "released" : waits ? "left" : "absent"
  }

  end(session: SessionId): void {
    this.sessions.delete(session)
    for (const path of new Set([...this.holders.keys(), ...this.waiting.keys()])) this.release(session, path)
    for (const [path, file] of this.files) if (file.session === session) this.files.delete(path)
  }

  private grant(path: string): void {
    for (;;) {
      const [next, ...rest] = this.waiting.get(path) ?? []
      const now = this.holders.get(path)
      if (next === undefined || (now !== undefined && (now.mode === "exclusive" || next.mode === "exclusive"))) return
      this.holders.set(path, { mode: next.mode, sessions: [...(now?.sessions ?? []), next.session] })
      this.waiting.set(path, rest)
    }
  }
}

test("random histories: locks and files are as in a model, and at most one exclusive token is valid", async () => {
  const random = new SimRandom(TEST_SEED).fork("histories")
  for (let history = 0; history < 30; history += 1) {
    const world = new CoordWorld(history)
    const model = new Model()
    const fences: Fence[] = []
    const pick = <T>(list: readonly T[]): T => must(list[random.below(list.length)], "one of them")
    const paths = ["ns/a", "ns/b", "other/a"]
    const modes = ["exclusive", "exclusive", "shared"] as const
    for (let step = 0; step < 120; step += 1) {
      const kind = random.below(10)
      const path = pick(paths)
      if (model.sessions.size < 2 || kind === 0) {
        model.sessions.add(await world.begin())
        continue
      }
      const session = pick([...model.sessions])
      if (kind === 1) {
        await world.coordination.end({ account: ACCOUNT, id: session })
        model.end(session)
      } else if (kind <= 5) {
        const [mode, waits] = [pick(modes), random.below(2) === 0]
        const outcome = await world.acquire(session, path, mode, waits).catch((error: unknown) => {
          assert.ok(isFailure(error, "conflict"))
          return { kind: "conflict" } as const
        })
        assert.equal(outcome.kind, model.acquire(session, path, mode, waits))
        if (outcome.kind === "acquired") fences.push({ ...at(path), mode, token: outcome.holder.token })
      } else if (kind <= 7) {
        assert.equal(await world.coordination.release({ ...at(path), session }), model.release(session, path))
      } else {
        const owner = random.below(2) === 0 ? session : undefined
        const there = model.files.get(path)
        const isOk = there === undefined || there.session === owner
        const text = String(step)
        const written = await world.write(path, text, {}, owner).then(
          () => true,
          error => !isFailure(error, "conflict"),
        )
        assert.equal(written, isOk)
        if (isOk) model.files.set(path, { text, session: owner })
      }
      for (const each of paths) {
        const lock = await world.coordination.lock(at(each))
        assert.deepEqual(lock?.holders.map(holder => holder.session) ?? [], model.holders.get(each)?.sessions ?? [])
        assert.deepEqual(
          lock?.waiting.map(waiter => waiter.session) ?? [],
          (model.waiting.get(each) ?? []).map(waiter => waiter.session),
        )
        assert.equal(await world.read(each), model.files.get(each)?.text)
      }
    }
    for (const path of paths) {
      const valid: Fence[] = []
      for (const fence of fences) if (fence.path === path && (await world.holds(fence))) valid.push(fence)
      const tokens = new Set(valid.map(({ token }) => token))
      if (valid.some(({ mode }) => mode === "exclusive")) assert.equal(tokens.size, 1)
    }
    for (const session of model.sessions) await world.coordination.end({ account: ACCOUNT, id: session })
    const { coordSessions, coordHoldings, coordLocks } = world.rows()
    assert.deepEqual([coordSessions, coordHoldings, coordLocks], [0, 0, 0])
  }
})
