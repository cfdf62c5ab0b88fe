import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "../base/failures.js"
import { SimClock } from "../seams/clock/sim.js"
import { NowReads } from "./now-reads.js"

test("reads rest after one that took long, and failures read as nothing", () => {
  let nowMs = 0
  class SteppedClock extends SimClock {
    override monotonicMs(): number {
      return nowMs
    }
  }
  const reads = new NowReads(new SteppedClock())
  assert.equal(
    reads.read(() => 1),
    1,
  )
  assert.equal(
    reads.read(() => {
      throw fail("corruptNeedle")
    }),
    undefined,
  )
  assert.throws(() => reads.read(() => assert.fail("a bug")), /a bug/)
  assert.equal(
    reads.read(() => (nowMs += 6)),
    6,
  )
  assert.equal(
    reads.read(() => 1),
    undefined,
  )
  nowMs += 10_001
  assert.equal(
    reads.read(() => 1),
    1,
  )
})
