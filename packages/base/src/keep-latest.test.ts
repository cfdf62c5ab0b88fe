/** A map with a limit forgets its oldest entries. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { keepLatest } from "./keep-latest.js"

const filled = () => new Map([1, 2, 3].map(key => [key, `${key}`]))

test("the oldest entry leaves at the limit", () => {
  const map = filled()
  keepLatest(map, 4, "4", 3)
  assert.deepEqual([...map.keys()], [2, 3, 4])
  keepLatest(map, 5, "5", 2)
  assert.deepEqual([...map.keys()], [4, 5])
})

test("an entry that is there becomes the newest, and no other one leaves", () => {
  const map = filled()
  keepLatest(map, 1, "new", 3)
  assert.deepEqual(
    [...map],
    [
      [2, "2"],
      [3, "3"],
      [1, "new"],
    ],
  )
})
