/** A time limit ends the wait, and not the work. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "./sim.js"
import { within } from "./within.js"

const never = new AbortController().signal

/** Work that ends after the duration, by a rejection if it has an error. */
async function workOf(clock: SimClock, durationMs: number, error?: Error): Promise<string> {
  await clock.sleep(durationMs, never)
  if (error) throw error
  return "done"
}

test("work in time has its own outcome, and leaves no alarm behind", async () => {
  const clock = new SimClock()
  assert.equal(await clock.runUntil(within(clock, 1_000, workOf(clock, 999))), "done")
  await assert.rejects(clock.runUntil(within(clock, 1_000, workOf(clock, 1, new Error("failed")))), /failed/)
  assert.equal(await clock.runUntil(within(clock, 1_000, Promise.resolve("at once"))), "at once")
  assert.equal(clock.sleepers, 0)
  assert.equal(clock.monotonicMs(), 1_000)
})

test("late work goes on, and its rejection is handled", async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on("unhandledRejection", note)
  try {
    const clock = new SimClock()
    let hasFailed = false
    const work = workOf(clock, 2_000, new Error("late")).finally(() => (hasFailed = true))
    assert.equal(await clock.runUntil(within(clock, 1_000, work)), "late")
    assert.deepEqual([clock.monotonicMs(), hasFailed], [1_000, false])
    await clock.advance(1_000)
    // Node reports unhandled rejections once no microtask is left.
    await new Promise(resolve => void setImmediate(resolve))
    assert.deepEqual([hasFailed, unhandled], [true, []])
  } finally {
    process.off("unhandledRejection", note)
  }
})
