import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SyncReads } from "./sync-reads.js"

test("after slow reads none is made for a while, and a read that fails returns undefined", () => {
  let nowMs = 0
  class SteppedClock extends SimClock {
    override monotonicMs(): number {
      return nowMs
    }
  }
  const reads = new SyncReads(new SteppedClock())
  const read = (tookMs: number) =>
    reads.read(() => {
      nowMs += tookMs
      return "read"
    })
  const fails = reads.read(() => {
    throw fail("corruptNeedle")
  })
  assert.equal(fails, undefined)
  assert.throws(() => reads.read(() => assert.fail("a bug")), /a bug/)
  const rests = () => {
    assert.equal(read(0), undefined)
    nowMs += 10_001
    assert.equal(read(0), "read")
  }
  // From time to time the thread does not run for a while.
  for (let i = 0; i < 200; i += 1) assert.equal(read(i % 20 === 0 ? 15 : 0.01), "read")
  assert.equal(read(150), "read")
  rests()
  let slow = 0
  while (read(8) !== undefined) slow += 1
  assert.ok(slow < 20, `${slow} reads of 8 ms`)
  nowMs += 10_001
  assert.equal(read(0), "read") // Places that are looked up say nothing about the disk, and are not looked up while no reads are made.
  const lookUp = (tookMs: number) =>
    reads.lookUp(() => {
      nowMs += tookMs
      return "place"
    })
  assert.equal(lookUp(150), "place")
  assert.equal(read(0), "read")
  slow = 0
  while (read(8) !== undefined) {
    slow += 1
    for (let i = 0; i < 20; i += 1) lookUp(0)
  }
  assert.ok(slow < 20, `${slow} reads of 8 ms`)
  assert.equal(lookUp(0), undefined)
})
