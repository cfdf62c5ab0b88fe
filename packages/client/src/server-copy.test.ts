import { test } from "node:test"
import assert from "node:assert/strict"
import { GIB, MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import { copyRanges } from "./server-copy.js"

test("the ranges of a copy in parts cover the object once, in at most 10,000 parts", () => {
  assert.deepEqual(copyRanges(10, 4), [{ first: 0, last: 9 }])
  for (const sizeBytes of [512 * MIB + 1, 5 * GIB, 48_000 * GIB + 7]) {
    const ranges = copyRanges(sizeBytes, 512 * MIB)
    assert.ok(ranges.length > 1 && ranges.length <= PARTS_MAX)
    let next = 0
    for (const { first, last } of ranges) {
      assert.equal(first, next)
      next = last + 1
    }
    assert.equal(next, sizeBytes)
  }
})
