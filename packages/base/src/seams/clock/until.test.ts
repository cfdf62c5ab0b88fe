/** A wait of a test ends once it is so, and by its limit even if a look never ends. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "./sim.js"
import { until, UNTIL_MS_MAX } from "./testing-until.js"

const never = new AbortController().signal
const endless = new Promise<never>(() => undefined)

test("it ends at the first look at which it is so", async () => {
  const clock = new SimClock()
  const isSo = (): boolean => clock.monotonicMs() >= 1_000
  await clock.runUntil(until("a second has passed", isSo, 300, clock))
  assert.equal(clock.monotonicMs(), 1_200)
  await clock.runUntil(until("it is so already", isSo, 300, clock))
  assert.deepEqual([clock.monotonicMs(), clock.sleepers], [1_200, 0])
})

test("what is never so is named, or what was found instead", async () => {
  for (const what of ["the event", () => "the event", async () => "the event"]) {
    const clock = new SimClock()
    const waiting = until(what, () => false, 1_000, clock)
    await assert.rejects(clock.runUntil(waiting), { message: "it never was so: the event" })
    assert.deepEqual([clock.monotonicMs(), clock.sleepers], [UNTIL_MS_MAX - 1_000, 0])
  }
})

test("a look that does not end is named, and ends the wait at its limit", async () => {
  const clock = new SimClock()
  let looks = 0
  const isSo = async (): Promise<boolean> => ((looks += 1) === 3 ? endless : false)
  await assert.rejects(clock.runUntil(until("the event", isSo, 1_000, clock)), {
    message: "the look did not end: the event",
  })
  assert.deepEqual([looks, clock.monotonicMs(), clock.sleepers], [3, UNTIL_MS_MAX, 0])
})

test("a function that never says what was found does not prolong the wait for ever", async () => {
  const clock = new SimClock()
  const waiting = until(
    () => endless,
    () => endless,
    1_000,
    clock,
  )
  await assert.rejects(clock.runUntil(waiting), /the look did not end: no text of what was found/)
  assert.equal(clock.sleepers, 0)
})

test("a look that fails fails the wait, and leaves no timer", async () => {
  const clock = new SimClock()
  const failed = async (): Promise<boolean> => {
    await clock.sleep(10, never)
    throw new Error("no answer")
  }
  await assert.rejects(clock.runUntil(until("the event", failed, 1_000, clock)), { message: "no answer" })
  const thrown = (): boolean => {
    throw new Error("at once")
  }
  await assert.rejects(clock.runUntil(until("the event", thrown, 1_000, clock)), { message: "at once" })
  assert.equal(clock.sleepers, 0)
})
