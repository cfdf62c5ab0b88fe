/** How long a read may last. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { ReadPins } from "./read-pins.js"
import { RETENTION_LIMITS } from "./retention.js"

const MINUTE_MS = 60_000
const tookTooLong = (error: unknown) => isFailure(error, "requestTimeout")

test("a read that pauses or lasts too long fails, also if nobody asks for the oldest one", async () => {
  const clock = new SimClock()
  const pins = new ReadPins(clock)
  const paused = pins.open(1)
  const slow = pins.open(1)
  await clock.advance(10 * MINUTE_MS)
  paused.progress()
  slow.progress()
  for (let atMs = 20 * MINUTE_MS; atMs <= RETENTION_LIMITS.retentionMs - RETENTION_LIMITS.epochMs;) {
    await clock.advance(10 * MINUTE_MS)
    slow.progress()
    atMs += 10 * MINUTE_MS
  }
  assert.throws(() => paused.progress(), tookTooLong)
  await clock.advance(1)
  assert.throws(() => slow.progress(), tookTooLong)
  assert.equal(pins.count, 0)
})
