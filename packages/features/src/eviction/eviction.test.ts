/** Evictions: which ages go, and the limit of a cache while a disk is full and afterwards. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { cutOf, limitAfter, stepOf } from "./eviction.js"

const HOUR_MS = 3_600_000

test("steps of ages: what is older is in no smaller step, and the cut removes no more than it must", () => {
  const ages = [0, 1, 999, 1_000, 1_001, 5_000, HOUR_MS, 1_000 * HOUR_MS]
  const steps = ages.map(stepOf)
  assert.deepEqual(
    steps,
    [...steps].sort((a, b) => a - b),
  )
  const bytes = new Map([
    [0, 10],
    [5, 20],
    [9, 30],
  ])
  assert.deepEqual(
    [60, 59, 30, 29, 10, 9, 0].map(max => cutOf(bytes, max)),
    [undefined, 9, 9, 5, 5, 0, 0],
  )
  assert.equal(cutOf(new Map(), 0), undefined)
})

test("the limit of a cache grows back to what was set", () => {
  const sizes = { sizeBytes: 0, sizeBytesMax: 100 * MIB, growthBytes: MIB }
  let limitBytes = limitAfter({ ...sizes, sizeBytes: 20 * MIB, limitBytes: 100 * MIB }, true)
  assert.equal(limitBytes, 18 * MIB)
  for (let i = 0; i < 100; i += 1) {
    const next = limitAfter({ ...sizes, limitBytes }, false)
    assert.ok(next > limitBytes || next === 100 * MIB)
    limitBytes = next
  }
  assert.equal(limitBytes, 100 * MIB)
})
