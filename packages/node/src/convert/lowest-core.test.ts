/** A database takes over a store above all of its numbers, or refuses it before anything is changed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseEpoch, parseIncarnation, parsePosition } from "@hayloft/base/ids.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import { POSITIONS_OF_INCARNATION } from "@hayloft/engine/metadata/index.js"
import { lowestIncarnation } from "./lowest-core.js"

const numbers = (own: number, position = 0, epoch = 1) => ({
  own: parseIncarnation(own),
  position: parsePosition(position),
  epoch: parseEpoch(epoch),
})

test("the incarnations of a database begin above all processes, positions and epochs of the store", () => {
  assert.equal(lowestIncarnation(numbers(7)), 7)
  assert.equal(lowestIncarnation(numbers(7, 20 * POSITIONS_OF_INCARNATION + 1)), 21)
  assert.equal(lowestIncarnation(numbers(7, 0, 30)), 30)
})

test("a store with front threads can move into a database after 1700 starts, and is refused before positions end", () => {
  const afterStarts = (starts: number) => lowestIncarnation(numbers(starts * (1 + FRONT_INCARNATIONS)))
  const lowest = afterStarts(1_700)
  parsePosition((lowest + 2 ** 16) * POSITIONS_OF_INCARNATION)
  assert.throws(
    () => afterStarts(2_000),
    error => isFailure(error, "limitExceeded"),
  )
})
