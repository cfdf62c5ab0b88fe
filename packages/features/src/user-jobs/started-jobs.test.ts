/** Jobs of callers: each item counts once whatever process dies, and no job is lost, worked on twice, or kept for ever. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseJobId } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { FollowedWork, ItemWork } from "../operator/index.js"
import { dropJobs } from "./job-commands-core.js"
import { JOB_LIMITS } from "./limits.js"
import { StartedJobs } from "./started-jobs.js"

const OPERATOR = { kind: "operator", id: "", name: "" } as const
const STOP = new AbortController().signal

/** Items that are numbers; those that were worked on are not found again. */
class Numbers implements ItemWork<number> {
  readonly worked: number[] = []
  readonly left: Set<number>
  /** Returns what happens to an item; "crash": its process ends there. */
  fate: (
    item: number,
  ) => "done" | "crash" | "later" | "gone" | { readonly reason: string } | { readonly failing: string } = () => "done"

  /** The remote with the items does not answer. */
  isAway = false

  constructor(count: number) {
    this.left = new Set(Array.from({ length: count }, (_, i) => i))
  }

  async prepare(): Promise<void> {
    if (this.isAway) throw fail("remoteUnavailable", { message: "the remote is away" })
  }

  async itemsAfter(cursor: string, until: string | undefined, max: number) {
    const from = cursor === "" ? -1 : Number(cursor)
    const found = [...this.left].filter(item => item > from && (until === undefined || item <= Number(until)))
    const items = found.slice(0, max)
    const next = items.length < found.length ? String(items.at(-1)) : undefined
    return { items, bytes: 10 * items.length, scanned: items.length, next }
  }

  async work(item: number): Promise<string | undefined | { readonly failing: string }> {
    const fate = this.fate(item)
    if (fate === "crash") throw new Error("the process has ended")
    if (fate === "later") throw fail("deviceFull")
    if (fate === "gone") throw fail("noSuchBucket")
    if (fate !== "done") return "reason" in fate ? fate.reason : fate
    this.worked.push(item)
    this.left.delete(item)
    return undefined
  }

  describe(item: number) {
    return { key: `key ${item}`, versionId: "" }
  }
}

function world(count = 250) {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const numbers = new Numbers(count)
  const works: FollowedWork[] = []
  const process = (seed: number): StartedJobs => {
    const { log } = new SimTelemetry()
    const random = new SimRandom(seed)
    const { dueTimeMs } = clock
    const jobs = new StartedJobs({ clock, random, log, metadata, prepare: async () => undefined, dueTimeMs })
    const open = async ({ kind }: { readonly kind: string }) => {
      if (kind !== "numbers") throw fail("invalidArgument", { message: "no such kind" })
      return numbers
    }
    jobs.attach(
      open,
      () => works,
      () => undefined,
    )
    return jobs
  }
  const steps = async (jobs: StartedJobs, most = 200, signal = STOP): Promise<void> => {
    for (let i = 0; i < most; i += 1) {
      if ((await jobs.step(signal)) === "idle") return
      await clock.advance(1_000)
    }
  }
  const start = (jobs: StartedJobs, more: { isDryRun?: boolean; request?: string } = {}) =>
    jobs.start({ kind: "numbers", target: "all", request: "{}", starter: OPERATOR, isDryRun: false, ...more })
  return { clock, metadata, numbers, works, process, steps, start }
}

test("a job counts, works, and ends with exact counts; a dry run only counts", async () => {
  const { numbers, process, steps, start } = world()
  const jobs = process(1)
  const dry = await start(jobs, { isDryRun: true })
  await steps(jobs)
  const counted = await jobs.get(dry.id)
  assert.equal(counted.state, "done")
  assert.deepEqual(counted.progress, { done: 250, total: 250, unit: "objects" })
  assert.equal(counted.counts?.matchedBytes, 2_500)
  assert.equal(numbers.worked.length, 0)
  const { id } = await start(jobs)
  await steps(jobs)
  const ended = await jobs.get(id)
  assert.equal(ended.state, "done")
  assert.deepEqual(ended.counts, {
    scanned: 250,
    matched: 250,
    matchedBytes: 2_500,
    done: 250,
    doneBytes: 2_500,
    failed: 0,
  })
  assert.equal(numbers.left.size, 0)
})

test("wherever a process dies, the next one goes on, and each item counts once", async () => {
  for (const crashAt of [0, 1, 57, 99, 100, 180, 249]) {
    const { numbers, process, steps, start } = world()
    const first = process(1)
    const { id } = await start(first)
    const ended = new AbortController()
    numbers.fate = item => {
      if (item !== crashAt) return "done"
      ended.abort()
      return "crash"
    }
    await steps(first, 20, ended.signal)
    assert.equal((await first.get(id)).state, "running")
    numbers.fate = () => "done"
    const next = process(2)
    await steps(next)
    const { state, counts } = await next.get(id)
    assert.equal(state, "done")
    assert.deepEqual([counts?.done, counts?.failed, counts?.doneBytes], [250, 0, 2_500], `crash at ${crashAt}`)
    assert.deepEqual([...new Set(numbers.worked)].length, 250)
  }
})

test("two processes that work on one job count each page once", async () => {
  const { numbers, process, start, clock } = world()
  const [a, b] = [process(1), process(2)]
  const { id } = await start(a)
  for (let i = 0; i < 60; i += 1) {
    await Promise.all([a.step(STOP), b.step(STOP)])
    await clock.advance(1_000)
  }
  const { state, counts } = await a.get(id)
  assert.deepEqual([state, counts?.matched, counts?.done], ["done", 250, 250])
  assert.equal(new Set(numbers.worked).size, 250)
})

test("failures that stay are counted and listed, up to a limit; those that pass are tried again", async () => {
  const { numbers, process, steps, start } = world()
  const jobs = process(1)
  const { id } = await start(jobs)
  let isFull = true
  numbers.fate = item => {
    if (item === 30 && isFull) return "later"
    return item % 2 === 0 ? { reason: "AccessDenied: no" } : "done"
  }
  await steps(jobs, 12)
  assert.match((await jobs.get(id)).lastError ?? "", /the store is full/)
  isFull = false
  await steps(jobs)
  const ended = await jobs.get(id)
  assert.deepEqual([ended.state, ended.counts?.done, ended.counts?.failed], ["done", 125, 125])
  assert.equal(ended.failures.length, JOB_LIMITS.failuresMax)
  assert.deepEqual(ended.failures[0], { key: "key 0", versionId: "", reason: "AccessDenied: no" })
  assert.match(ended.result ?? "", /125 of 250 done, 125 failed/)
})

test("an object at which the store always fails counts as failed after some attempts, and the job goes on", async () => {
  const { numbers, process, steps, start } = world()
  const jobs = process(1)
  const { id } = await start(jobs)
  let attempts = 0
  numbers.fate = item => {
    if (item === 101) return (attempts += 1) < JOB_LIMITS.attemptsMax - 1 ? { failing: "InternalError: once" } : "done"
    return item === 30 || item === 40 ? { failing: "InternalError: damaged" } : "done"
  }
  await steps(jobs, 12)
  assert.match((await jobs.get(id)).lastError ?? "", /key 30: InternalError: damaged/)
  await steps(jobs, 300)
  const { state, counts, failures } = await jobs.get(id)
  assert.deepEqual([state, counts?.done, counts?.failed], ["done", 248, 2])
  assert.deepEqual(
    failures.map(({ key, reason }) => `${key}: ${reason}`),
    ["key 30: InternalError: damaged", "key 40: InternalError: damaged"],
  )
})

test("a paused job waits, a cancelled one ends after its page, and neither can be twice", async () => {
  const { numbers, process, steps, start } = world()
  const jobs = process(1)
  const { id } = await start(jobs)
  await jobs.step(STOP)
  await jobs.setPaused(id, true)
  await steps(jobs, 10)
  assert.deepEqual([(await jobs.get(id)).state, numbers.worked.length], ["paused", 0])
  await jobs.setPaused(id, false)
  await jobs.step(STOP)
  assert.equal((await jobs.cancel(id)).state, "cancelling")
  await steps(jobs, 10)
  const ended = await jobs.get(id)
  assert.equal(ended.state, "cancelled")
  assert.equal(ended.counts?.done, numbers.worked.length)
  assert.match(ended.result ?? "", /what was done stays/)
  await assert.rejects(jobs.cancel(id), /has ended/)
  await assert.rejects(jobs.get(parseJobId("numbers-aaaaaaaa")), /there is no job/)
})

test("a limit of the rate holds", async () => {
  const { numbers, process, start, clock } = world()
  const jobs = process(1)
  await start(jobs, { request: JSON.stringify({ itemsPerSecond: 20 }) })
  for (let i = 0; i < 50; i += 1) {
    await jobs.step(STOP)
    await clock.advance(100)
  }
  assert.ok(numbers.worked.length >= 60 && numbers.worked.length <= 120, `${numbers.worked.length} in 5 s`)
})

test("a cancelled job does not wait for its rate, and waits after a failure", async () => {
  const { numbers, process, start, clock } = world()
  const jobs = process(1)
  const slow = await start(jobs, { request: JSON.stringify({ itemsPerSecond: 0.001 }) })
  for (let i = 0; i < 20 && numbers.worked.length === 0; i += 1) {
    await jobs.step(STOP)
    await clock.advance(1_000)
  }
  assert.equal(await jobs.step(STOP), "throttled")
  await jobs.cancel(slow.id)
  assert.equal(await jobs.step(STOP), "busy")
  assert.equal((await jobs.get(slow.id)).state, "cancelled")

  numbers.fate = () => "later"
  const failing = await start(jobs)
  for (let i = 0; i < 20 && (await jobs.get(failing.id)).lastError === undefined; i += 1) await jobs.step(STOP)
  await jobs.cancel(failing.id)
  assert.equal(await jobs.step(STOP), "throttled")
})

test("a job whose target is gone fails, and a cancelled one is cancelled", async () => {
  for (const isCancelled of [false, true]) {
    const { numbers, process, steps, start, clock } = world()
    const jobs = process(1)
    const { id } = await start(jobs)
    numbers.fate = () => "later"
    for (let i = 0; i < 20 && (await jobs.get(id)).lastError === undefined; i += 1) await jobs.step(STOP)
    if (isCancelled) await jobs.cancel(id)
    numbers.fate = () => "gone"
    await clock.advance(JOB_LIMITS.retryMs)
    await steps(jobs)
    const { state, lastError } = await jobs.get(id)
    assert.equal(state, isCancelled ? "cancelled" : "failed")
    assert.match(lastError ?? "", /bucket/)
  }
})

test("a cancelled job ends although its page cannot be done, or not even be found", async () => {
  for (const isFound of [true, false]) {
    const { numbers, process, steps, start } = world()
    const jobs = process(1)
    const { id } = await start(jobs)
    numbers.fate = item => (item < 30 ? "done" : "later")
    await steps(jobs, 10)
    assert.match((await jobs.get(id)).lastError ?? "", /the store is full/)
    numbers.isAway = !isFound
    await jobs.cancel(id)
    await steps(jobs, 20)
    const { state, counts, failures, result } = await jobs.get(id)
    assert.equal(state, "cancelled")
    if (isFound) {
      assert.deepEqual([counts?.done, counts?.failed], [30, 70])
      assert.match(failures[0]?.reason ?? "", /the store is full/)
    } else assert.match(result ?? "", /remote/)
  }
})

test("too many jobs are refused, and ended ones are kept for a while", async () => {
  const { process, steps, start, clock } = world(0)
  const jobs = process(1)
  for (let i = 0; i < JOB_LIMITS.underWayMax; i += 1) await start(jobs)
  await assert.rejects(start(jobs), /jobs are under way/)
  await steps(jobs, 1_000)
  assert.equal((await jobs.list()).length, JOB_LIMITS.underWayMax)
  await clock.advance(JOB_LIMITS.endedKeptMs + 1)
  for (let i = 0; i < 20; i += 1) await start(jobs)
  assert.equal((await jobs.list()).length, 20)
})

test("a clock that is ahead for a while removes no ended jobs", async () => {
  const { process, steps, start, clock } = world(0)
  const jobs = process(1)
  const { id } = await start(jobs)
  await steps(jobs)
  const aheadMs = 2 * JOB_LIMITS.endedKeptMs
  clock.jumpWall(aheadMs)
  await start(jobs)
  clock.jumpWall(-aheadMs)
  assert.equal((await jobs.get(id)).state, "done")
})

test("ended jobs are removed although another process has removed some of them", async () => {
  const { metadata, process, start, steps } = world(0)
  const jobs = process(1)
  const [first, second] = [await start(jobs), await start(jobs)]
  await steps(jobs)
  await metadata.run(dropJobs([first.id]))
  await metadata.run(dropJobs([first.id, second.id]))
  assert.deepEqual(await jobs.list(), [])
})

test("holders of keys leave room for other accounts, and for the operator", async () => {
  const { process } = world(0)
  const jobs = process(1)
  const startOf = (account: number) => {
    const starter = { kind: "key", id: "AK", name: `arn:aws:iam::${account}:user/ann` } as const
    return jobs.start({ kind: "numbers", target: "all", request: "{}", starter, isDryRun: false })
  }
  const { underWayOfAccountMax, underWayOfKeysMax } = JOB_LIMITS
  for (let at = 0; at < underWayOfKeysMax; at += 1) await startOf(Math.floor(at / underWayOfAccountMax))
  await assert.rejects(startOf(0), /10 jobs of the account/)
  await assert.rejects(startOf(99), /80 of the store are under way/)
  const starter = OPERATOR
  await jobs.start({ kind: "numbers", target: "all", request: "{}", starter, isDryRun: false })
})

const drain = (done: number): FollowedWork => ({
  kind: "drain",
  target: "device 7 (/mnt/a)",
  phase: "moving its shards",
  sinceMs: 5,
  progress: { done, total: 100, unit: "bytes" },
  rate: 10,
  endsInSeconds: 9,
  lastError: undefined,
  cancelBy: "hayloft device use 7 takes it back",
  isNoted: true,
})

test("work of the store is a job from its beginning to its end; it names what undoes it", async () => {
  const { works, process, steps, clock } = world()
  const jobs = process(1)
  works.push(drain(40))
  const begun = await jobs.follow(
    { kind: "drain", target: "device 7 (/mnt/a)" },
    { kind: "token", id: "T", name: "ci" },
  )
  assert.deepEqual(begun.progress, { done: 40, total: 100, unit: "bytes" })
  assert.equal(begun.estimatedEndMs, clock.wallMs() + 9_000)
  assert.equal(begun.canCancel, false)
  await assert.rejects(jobs.cancel(begun.id), /hayloft device use 7/)
  // It is not noted twice.
  works.push({ ...drain(0), kind: "rebuild", target: "device 8 (/mnt/b)" })
  await steps(jobs, 20)
  assert.deepEqual((await jobs.list()).map(({ kind, starter }) => [kind, starter.kind]).sort(), [
    ["drain", "token"],
    ["rebuild", "store"],
  ])
  works.length = 0
  await steps(jobs, 20)
  assert.deepEqual(
    (await jobs.list()).map(({ state }) => state),
    ["done", "done"],
  )
})

test("work of the store is over although the clock was ahead when it began", async () => {
  const { works, process, steps, clock } = world()
  const jobs = process(1)
  works.push(drain(40))
  const aheadMs = 365 * 24 * 3_600_000
  clock.jumpWall(aheadMs)
  const { id } = await jobs.follow({ kind: "drain", target: "device 7 (/mnt/a)" }, OPERATOR)
  clock.jumpWall(-aheadMs)
  await steps(jobs, 20)
  assert.equal((await jobs.get(id)).state, "running")
  works.length = 0
  await steps(jobs, 20)
  assert.equal((await jobs.get(id)).state, "done")
})

test("a full disk holds up no job: work of the store is noted once there is space", async () => {
  const { works, metadata, process, clock } = world()
  const jobs = process(1)
  works.push(drain(40))
  for (const isFull of [true, false]) {
    metadata.isFull = isFull
    for (let looks = 0; looks < 3; looks += 1) {
      await jobs.step(STOP)
      await clock.advance(JOB_LIMITS.followEveryMs)
    }
    assert.deepEqual(
      (await jobs.list()).map(({ kind }) => kind),
      isFull ? [] : ["drain"],
    )
  }
})

test("who watches gets the next change, or the same after a while", async () => {
  const { process, start, clock } = world()
  const jobs = process(1)
  const { id, revision } = await start(jobs)
  const read = async () => {
    const shown = await jobs.get(id)
    return { shown, revision: shown.revision }
  }
  const waiting = jobs.watch(read, revision, 10_000, STOP)
  await clock.advance(600)
  await jobs.step(STOP)
  await clock.advance(600)
  const changed = await waiting
  assert.notEqual(changed.revision, revision)
  const late = jobs.watch(read, changed.revision, 2_000, STOP)
  await clock.advance(2_500)
  assert.equal((await late).revision, changed.revision)
})
