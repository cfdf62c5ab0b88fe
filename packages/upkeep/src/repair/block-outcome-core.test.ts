/** Outcomes of blocks: which fact decides if several hold. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { outcomeOf } from "./block-outcome-core.js"

const WHOLE = {
  isDescribed: true,
  hasShards: true,
  isUnnamed: false,
  isUnreadable: false,
  isUnknown: false,
  isSettled: false,
  isYoung: false,
  mustLeave: false,
}
const UNDESCRIBED = { ...WHOLE, isDescribed: false }
const WITHOUT_SHARDS = { ...WHOLE, hasShards: false }

test("a block that no row references leaves a device that is being emptied, and needs nothing else", () => {
  for (const facts of [WHOLE, UNDESCRIBED, WITHOUT_SHARDS]) {
    const unnamed = { ...facts, isUnnamed: true, isUnreadable: true, isUnknown: true, isYoung: true }
    assert.equal(outcomeOf(unnamed), "nothing")
    assert.equal(outcomeOf({ ...unnamed, isSettled: true, mustLeave: true }), "visit")
  }
})

test("a block that is not described, or has no shards, is visited until a visit has settled it", () => {
  for (const facts of [UNDESCRIBED, WITHOUT_SHARDS]) {
    assert.equal(outcomeOf({ ...facts, isYoung: true }), "visit")
    assert.equal(outcomeOf({ ...facts, isSettled: true }), "nothing")
  }
  assert.equal(outcomeOf({ ...WITHOUT_SHARDS, isSettled: true, isUnreadable: true }), "lost")
})

test("a block of a writer that may be at work is young, whatever a visit could not read", () => {
  assert.equal(outcomeOf({ ...WHOLE, isYoung: true, isUnreadable: true, isUnknown: true }), "young")
})

test("blocks that cannot be read do not count; those without readable needles do where they must move", () => {
  assert.equal(outcomeOf({ ...WHOLE, isSettled: true }), "counted")
  assert.equal(outcomeOf({ ...WHOLE, isUnknown: true }), "unrebuildable")
  assert.equal(outcomeOf({ ...WHOLE, isUnknown: true, mustLeave: true }), "counted")
  assert.equal(outcomeOf({ ...WHOLE, isUnreadable: true, mustLeave: true }), "unrebuildable")
})
