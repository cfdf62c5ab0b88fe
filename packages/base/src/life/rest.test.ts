/** A rest ends at its time, at the signal, or when there is work. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "../seams/clock/sim.js"
import { Rest } from "./rest.js"

const never = new AbortController().signal

test("a rest ends at its time, or as soon as it is woken, and leaves nothing behind", async () => {
  const clock = new SimClock()
  const rest = new Rest(clock)
  assert.equal(await clock.runUntil(rest.until(1_000, never)), false)
  assert.equal(clock.monotonicMs(), 1_000)
  const woken = rest.until(1_000, never)
  await clock.advance(300)
  rest.wake()
  assert.equal(await woken, true)
  assert.equal(clock.sleepers, 0)
})

test("who is woken while it works does not rest, once", async () => {
  const clock = new SimClock()
  const rest = new Rest(clock)
  rest.wake()
  assert.equal(await clock.runUntil(rest.until(1_000, never)), true)
  assert.equal(clock.monotonicMs(), 0)
  rest.wake()
  rest.forget()
  assert.equal(await clock.runUntil(rest.until(1_000, never)), false)
  assert.equal(clock.monotonicMs(), 1_000)
})

test("the signal ends a rest, and the next one does not begin", async () => {
  const clock = new SimClock()
  const rest = new Rest(clock)
  const stop = new AbortController()
  const resting = rest.until(1_000, stop.signal)
  stop.abort()
  assert.equal(await resting, false)
  assert.equal(await rest.until(1_000, stop.signal), false)
  assert.equal(clock.sleepers, 0)
})
