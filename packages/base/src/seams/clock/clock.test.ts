import assert from "node:assert/strict"
import { test } from "node:test"
import { assert as assertTrue } from "../../assert.js"
import { hurried } from "./hurried.js"
import { RealClock } from "./real.js"
import { keepStacks, NotSettledError, SimClock } from "./sim.js"
import { clockSuite } from "./suite.js"

const never = new AbortController().signal

clockSuite("real", () => {
  const clock = new RealClock()
  return { clock, pass: durationMs => clock.sleep(durationMs, never) }
})

clockSuite("simulated", () => {
  const clock = new SimClock()
  return { clock, pass: durationMs => clock.advance(durationMs) }
})

test("a hurried clock counts and sleeps as many times as fast, and shows the same time of day", async () => {
  const clock = new SimClock()
  const fast = hurried(clock, 4)
  assert.equal(hurried(clock, 1), clock)
  const [wallMs, beganMs] = [clock.wallMs(), fast.monotonicMs()]
  let woken = 0
  void fast.sleep(1_000, never).then(() => (woken += 1))
  fast.alarm(1_000, () => (woken += 1))
  await clock.advance(249)
  assert.equal(woken, 0)
  await clock.advance(1)
  assert.equal(woken, 2)
  assert.equal(fast.monotonicMs() - beganMs, 1_000)
  assert.equal(fast.wallMs() - wallMs, 250)
})

test("a real sleep longer than Node's timers can hold does not end immediately", async () => {
  const stop = new AbortController()
  let ended = false
  const slept = new RealClock().sleep(2 ** 31 + 5, stop.signal).then(() => (ended = true))
  await new RealClock().sleep(20, never)
  assert.equal(ended, false)
  stop.abort()
  await slept
})

test("advancing also wakes sleepers that start to sleep meanwhile, at the right moments", async () => {
  const clock = new SimClock()
  const wokenAtMs: number[] = []
  const loop = (async () => {
    for (let i = 0; i < 5; i += 1) {
      await clock.sleep(100, never)
      wokenAtMs.push(clock.monotonicMs())
    }
  })()
  await clock.advance(350)
  assert.deepEqual(wokenAtMs, [100, 200, 300])
  assert.equal(clock.monotonicMs(), 350)
  assert.equal(clock.sleepers, 1)
  await clock.runUntil(loop)
  assert.equal(clock.monotonicMs(), 500)
  assert.equal(clock.sleepers, 0)
})

test("sleepers with one deadline wake in the order of their calls", async () => {
  const clock = new SimClock()
  const woken: number[] = []
  for (const i of [1, 2, 3, 4]) void clock.sleep(10, never).then(() => woken.push(i))
  await clock.advance(10)
  assert.deepEqual(woken, [1, 2, 3, 4])
})

test("an hour of simulated time passes in no time, and errors are passed on", async () => {
  const clock = new SimClock()
  const failing = clock.sleep(3_600_000, never).then(() => Promise.reject(new Error("as planned")))
  await assert.rejects(clock.runUntil(failing), /as planned/)
  assert.equal(clock.monotonicMs(), 3_600_000)
})

test("a deadlock is an error, and so is running past the limit", async () => {
  const clock = new SimClock()
  await assert.rejects(clock.runUntil(new Promise<void>(() => undefined)), /deadlock/)
  await assert.rejects(clock.runUntil(clock.sleep(1_000, never), 999), /not settled within 999 ms/)
  await assert.rejects(clock.runUntil(clock.sleep(1_000, never), 999), NotSettledError)
  clock.alarm(1, () => assertTrue(false, "of the program"))
  await assert.rejects(clock.runUntil(clock.sleep(1_000, never)), error => !(error instanceof NotSettledError))
})

test("the error of a run that does not end names the calls that sleep", async () => {
  keepStacks()
  const clock = new SimClock()
  const waitForNothing = async (): Promise<void> => {
    for (;;) await clock.sleep(10, never)
  }
  const sleepLong = (): Promise<void> => clock.sleep(5_000, never)
  const both = Promise.all([1, 2].map(sleepLong))
  await assert.rejects(
    clock.runUntil(waitForNothing(), 1_000),
    /within 1000 ms .*\n1 until 10 ms from now:\n.*waitForNothing[\s\S]*\n2 until 4\d{3} ms from now:\n.*sleepLong/,
  )
  await clock.runUntil(both)
})

test("the wall clock can jump without moving the monotonic one", () => {
  const clock = new SimClock(1_000_000)
  clock.jumpWall(-500_000)
  assert.equal(clock.wallMs(), 500_000)
  assert.equal(clock.monotonicMs(), 0)
})

test("an aborted sleeper is forgotten", async () => {
  const clock = new SimClock()
  const stop = new AbortController()
  const slept = clock.sleep(50, stop.signal)
  stop.abort()
  await slept
  assert.equal(clock.sleepers, 0)
})
