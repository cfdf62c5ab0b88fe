import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionError } from "../assert.js"
import { SimClock } from "../seams/clock/sim.js"
import { SimRandom } from "../seams/random/sim.js"
import { SimTelemetry } from "../seams/telemetry/sim.js"
import { PassFailed } from "./failures-in-a-row.js"
import { JobRunner } from "./job-runner.js"
import type { Job, BackgroundService, StepOutcome } from "./contract.js"
import { mapBounded } from "./map-bounded.js"
import { DisposeStack } from "./stack.js"
import { backoffMs, supervise } from "./supervise.js"

const never = new AbortController().signal
const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => signal.addEventListener("abort", () => resolve()))

test("mapBounded keeps order and never exceeds its limit", async () => {
  const clock = new SimClock()
  let [running, most] = [0, 0]
  const work = mapBounded([50, 10, 30, 20, 40], 2, async (ms, index) => {
    most = Math.max(most, ++running)
    await clock.sleep(ms, never)
    running -= 1
    return `${index}:${ms}`
  })
  assert.deepEqual(await clock.runUntil(work), ["0:50", "1:10", "2:30", "3:20", "4:40"])
  assert.equal(most, 2)
  assert.equal(clock.monotonicMs(), 90)
  assert.deepEqual(await mapBounded([], 3, () => Promise.resolve(1)), [])
})

test("mapBounded starts nothing after an error and leaves nothing running", async () => {
  const clock = new SimClock()
  const started: number[] = []
  const ended: number[] = []
  const work = mapBounded([1, 2, 3, 4], 2, async item => {
    started.push(item)
    await clock.sleep(item * 10, never)
    if (item === 1) throw new Error("first")
    ended.push(item)
  })
  await assert.rejects(clock.runUntil(work), /first/)
  assert.deepEqual(started, [1, 2])
  assert.deepEqual(ended, [2])
})

test("mapBounded throws an error of the items themselves", async () => {
  function* broken(): Iterable<number> {
    yield 1
    throw new Error("no more items")
  }
  await assert.rejects(
    mapBounded(broken(), 4, item => Promise.resolve(item)),
    /no more items/,
  )
})

test("a stack closes in reverse, even after a failure", async () => {
  const closed: string[] = []
  const close = (name: string) => () => void closed.push(name)
  const run = async (): Promise<void> => {
    await using stack = new DisposeStack()
    stack.defer(close("a"))
    stack.defer(() => Promise.reject(new Error("b will not close")))
    stack.use({ [Symbol.asyncDispose]: () => Promise.resolve(close("c")()) })
    stack.use({ [Symbol.dispose]: close("d") })
  }
  await assert.rejects(run(), /b will not close/)
  assert.deepEqual(closed, ["d", "c", "a"])
})

test("a moved stack is closed by its new owner only", async () => {
  const closed: string[] = []
  const open = async (): Promise<DisposeStack> => {
    await using stack = new DisposeStack()
    stack.defer(() => closed.push("a"))
    return stack.move()
  }
  const owner = await open()
  assert.deepEqual(closed, [])
  await owner[Symbol.asyncDispose]()
  await owner[Symbol.asyncDispose]()
  assert.deepEqual(closed, ["a"])
  assert.throws(() => owner.defer(() => undefined), /closed/)
})

test("several failures to close are all reported", async () => {
  const stack = new DisposeStack()
  for (const name of ["x", "y"]) stack.defer(() => Promise.reject(new Error(name)))
  await assert.rejects(stack[Symbol.asyncDispose](), (error: unknown) => {
    assert.ok(error instanceof AggregateError)
    assert.deepEqual(
      error.errors.map(each => String(each)),
      ["Error: y", "Error: x"],
    )
    return true
  })
})

test("back-off doubles, is bounded and jitters", () => {
  const random = new SimRandom(1)
  const limits = { firstMs: 100, mostMs: 1_000 }
  for (const [failures, fullMs] of [
    [1, 100],
    [2, 200],
    [4, 800],
    [5, 1_000],
    [500, 1_000],
  ] as const) {
    const drawn = Array.from({ length: 100 }, () => backoffMs(failures, limits, random))
    assert.ok(Math.min(...drawn) >= fullMs / 2 && Math.max(...drawn) <= fullMs + 1)
    assert.ok(new Set(drawn).size > 10)
  }
})

function supervised(backgroundServices: readonly BackgroundService[], clock = new SimClock()) {
  const telemetry = new SimTelemetry()
  const stop = new AbortController()
  const ended = supervise(backgroundServices, clock, new SimRandom(1), telemetry.log, stop.signal)
  return { clock, telemetry, stop, ended }
}

test("a failing service is restarted, each time later, until the signal", async () => {
  const clock = new SimClock()
  const startsMs: number[] = []
  const failing: BackgroundService = {
    name: "failing",
    run: () => {
      startsMs.push(clock.monotonicMs())
      return Promise.reject(new Error("no luck"))
    },
  }
  const steady: BackgroundService = { name: "steady", run: untilAborted }
  const { telemetry, stop, ended } = supervised([failing, steady], clock)
  await clock.advance(10 * 60_000)
  const gaps = startsMs.slice(1).map((ms, i) => ms - (startsMs[i] ?? 0))
  assert.ok(gaps.length > 10 && gaps.length < 40, `${gaps.length} restarts`)
  assert.ok((gaps[0] ?? 0) <= 201 && gaps.slice(-1).every(ms => ms >= 30_000 && ms <= 60_001))
  assert.equal(telemetry.entries("service_failed").length, startsMs.length)
  stop.abort()
  await clock.runUntil(ended)
  assert.equal(clock.sleepers, 0)
})

test("after a healthy run the back-off is reset", async () => {
  const clock = new SimClock()
  const startsMs: number[] = []
  const mostlyFine: BackgroundService = {
    name: "mostlyFine",
    run: async signal => {
      startsMs.push(clock.monotonicMs())
      await clock.sleep(61_000, signal)
      throw new Error("now and then")
    },
  }
  const { stop, ended } = supervised([mostlyFine], clock)
  await clock.advance(10 * 62_000)
  assert.ok(
    startsMs.every((ms, i) => ms <= i * 61_201),
    String(startsMs),
  )
  assert.ok(startsMs.length >= 10)
  stop.abort()
  await clock.runUntil(ended)
})

test("a service that finishes is not restarted; the others continue", async () => {
  let runs = 0
  const brief: BackgroundService = { name: "brief", run: () => Promise.resolve(void (runs += 1)) }
  const { clock, telemetry, stop, ended } = supervised([brief, { name: "steady", run: untilAborted }])
  await clock.advance(60_000)
  assert.equal(runs, 1)
  assert.equal(telemetry.entries("service_done").length, 1)
  stop.abort()
  await clock.runUntil(ended)
})

test("an assertion error stops all services and is thrown", async () => {
  let steadyEnded = false
  const steady: BackgroundService = {
    name: "steady",
    run: signal => untilAborted(signal).then(() => void (steadyEnded = true)),
  }
  const mistaken: BackgroundService = { name: "mistaken", run: () => Promise.reject(new AssertionError("cannot be")) }
  const { clock, ended } = supervised([steady, mistaken])
  await assert.rejects(clock.runUntil(ended), /cannot be/)
  assert.ok(steadyEnded)
})

test("with a signal that has fired nothing is started", async () => {
  let runs = 0
  const counting: BackgroundService = { name: "counting", run: () => Promise.resolve(void (runs += 1)) }
  await supervise([counting], new SimClock(), new SimRandom(1), new SimTelemetry().log, AbortSignal.abort())
  assert.equal(runs, 0)
})

function choring(step: (clock: SimClock) => Job["step"]) {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const stepsMs: number[] = []
  const inner = step(clock)
  const job: Job = {
    name: "scrub",
    progress: () => `${stepsMs.length} steps`,
    step: signal => {
      stepsMs.push(clock.monotonicMs())
      return inner(signal)
    },
  }
  const runner = new JobRunner("jobs", [job], clock, telemetry)
  const stop = new AbortController()
  const ended = runner.run(stop.signal)
  const finish = async (): Promise<void> => {
    stop.abort()
    await clock.runUntil(ended)
    assert.equal(clock.sleepers, 0)
  }
  return { clock, telemetry, runner, stepsMs, ended, finish }
}

const takes =
  (ms: number, outcome: StepOutcome) =>
  (clock: SimClock): Job["step"] =>
  async () => {
    await clock.sleep(ms, never)
    return outcome
  }

test("a busy job rests in proportion to its steps, and full speed can be requested", async () => {
  const { clock, runner, stepsMs, finish } = choring(takes(100, "busy"))
  await clock.advance(29_999)
  assert.equal(stepsMs.length, 100, "works one third of the time")
  runner.setThrottle("scrub", 0)
  await clock.advance(30_000)
  assert.ok(stepsMs.length >= 395, `${stepsMs.length} steps`)
  assert.deepEqual(runner.status(), [
    {
      name: "scrub",
      state: "busy",
      isPaused: false,
      progress: `${stepsMs.length} steps`,
      lastError: undefined,
      failuresInARow: 0,
      throttle: 0,
    },
  ])
  await finish()
})

test("an idle job checks less and less often, and immediately when woken", async () => {
  const { clock, runner, stepsMs, finish } = choring(takes(0, "idle"))
  await clock.advance(3_600_000)
  assert.ok(stepsMs.length > 55 && stepsMs.length < 75, `${stepsMs.length} steps in an hour`)
  const before = stepsMs.length
  runner.wake("scrub")
  await clock.advance(1)
  assert.equal(stepsMs.length, before + 1)
  await finish()
})

test("waking a job during a step makes it check again", async () => {
  const { clock, runner, stepsMs, finish } = choring(takes(100, "idle"))
  await clock.advance(50)
  runner.wake("scrub")
  await clock.advance(60)
  assert.deepEqual(stepsMs, [0, 100])
  await finish()
})

test("a failing job reports it, is retried later, and recovers", async () => {
  let broken = true
  const { clock, telemetry, runner, stepsMs, finish } = choring(
    () => () => (broken ? Promise.reject(new Error("disk is gone")) : Promise.resolve("idle")),
  )
  await clock.advance(10_000)
  assert.deepEqual(stepsMs, [0, 1_000, 3_000, 7_000])
  assert.equal(runner.status()[0]?.state, "failed")
  assert.match(runner.status()[0]?.lastError ?? "", /disk is gone/)
  assert.equal(telemetry.metric("hayloft_job_failing", { job: "scrub" }), 1)
  assert.deepEqual(
    telemetry.entries("job_failed").map(({ fields }) => fields["failures"]),
    [1, 2, 3, 4],
  )
  broken = false
  await clock.advance(10_000)
  assert.equal(runner.status()[0]?.state, "idle")
  assert.equal(telemetry.metric("hayloft_job_failing", { job: "scrub" }), 0)
  await finish()
})

test("a job whose passes fail rests longer each time, until a pass ends well", async () => {
  let broken = true
  let steps = 0
  const { clock, telemetry, runner, stepsMs, finish } = choring(() => () => {
    steps += 1
    if (steps % 3 !== 0) return Promise.resolve("busy")
    return broken ? Promise.reject(new PassFailed("1 of 2 is not sealed")) : Promise.resolve("idle")
  })
  await clock.advance(10_000)
  assert.deepEqual(stepsMs, [0, 0, 0, 1_000, 1_000, 1_000, 3_000, 3_000, 3_000, 7_000, 7_000, 7_000])
  await clock.advance(5_000)
  broken = false
  assert.deepEqual([runner.status()[0]?.state, runner.status()[0]?.failuresInARow], ["failed", 5])
  assert.deepEqual(
    runner.failing().map(({ failuresInARow }) => failuresInARow),
    [5],
  )
  assert.equal(telemetry.metric("hayloft_job_failing", { job: "scrub" }), 1)
  await clock.advance(20_000)
  assert.deepEqual([runner.status()[0]?.state, runner.status()[0]?.failuresInARow], ["idle", 0])
  assert.deepEqual(runner.failing(), [])
  assert.equal(telemetry.metric("hayloft_job_failing", { job: "scrub" }), 0)
  await finish()
})

test("a job that is done ends; a running step is never interrupted by the signal", async () => {
  const done = choring(takes(10, "done"))
  await done.clock.runUntil(done.ended)
  assert.equal(done.runner.status()[0]?.state, "done")

  const slow = choring(takes(5_000, "busy"))
  await slow.clock.advance(1_000)
  await slow.finish()
  assert.equal(slow.clock.monotonicMs(), 5_000)
})

test("unknown jobs, bad throttles and duplicate names are refused", () => {
  const { runner } = choring(takes(10, "done"))
  assert.throws(() => runner.wake("nope"), /no such job/)
  assert.throws(() => runner.setThrottle("scrub", -1), /throttle is/)
  const job: Job = { name: "a", progress: () => "", step: () => Promise.resolve("done") }
  assert.throws(() => new JobRunner("c", [job, job], new SimClock(), new SimTelemetry()), /job names are unique/)
})
