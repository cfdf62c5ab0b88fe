/** The least rate of a body. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { atLeastRate } from "./least-rate.js"
import { BrokenAnswer } from "./remote.js"

const GRACE_MS = 10_000
const bytesPerSecondMin = 1_000
const never = new AbortController().signal

async function* drip(clock: SimClock, bytes: number, pieces: number) {
  for (let i = 0; i < pieces; i += 1) {
    await clock.sleep(1_000, never)
    yield new Uint8Array(bytes)
  }
}

test("a body that comes with a byte a second is given up right after the grace", async () => {
  const clock = new SimClock()
  let seconds = 0
  const reading = (async () => {
    for await (const piece of atLeastRate({ clock, bytesPerSecondMin, graceMs: GRACE_MS }, drip(clock, 1, 60)))
      seconds += piece.length
  })()
  await assert.rejects(clock.runUntil(reading), BrokenAnswer)
  assert.equal(seconds, GRACE_MS / 1_000)
})

test("the time that the reader takes does not count", async () => {
  const clock = new SimClock()
  let bytes = 0
  const reading = (async () => {
    const rate = { clock, bytesPerSecondMin, graceMs: GRACE_MS }
    for await (const piece of atLeastRate(rate, drip(clock, bytesPerSecondMin, 30))) {
      bytes += piece.length
      await clock.sleep(60_000, never)
    }
  })()
  await clock.runUntil(reading)
  assert.equal(bytes, 30 * bytesPerSecondMin)
})
