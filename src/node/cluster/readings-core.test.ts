/** When a node may conclude that no other process writes under an older layout. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Readings } from "./readings-core.js"

/** Lists of live incarnations, as they were read one after the other. */
const [FIRST, SECOND, THIRD, FOURTH] = [{}, {}, {}, {}]

test("rows and live incarnations count only once both were read twice under the layout", () => {
  const readings = new Readings()
  assert.ok(!readings.isAfter(1))
  // The list may have been read before the layout took effect.
  readings.note(1, FIRST)
  readings.note(1, FIRST)
  readings.note(1, FIRST)
  assert.ok(!readings.isAfter(1), "the list was not read since")
  // The reading of this list may have begun before.
  readings.note(1, SECOND)
  assert.ok(!readings.isAfter(1))
  readings.note(1, THIRD)
  assert.ok(readings.isAfter(1))
  assert.ok(!readings.isAfter(2))
})

test("one reading of the rows is not enough: it may have begun before the layout took effect", () => {
  const readings = new Readings()
  readings.note(1, FIRST)
  readings.note(2, FIRST)
  assert.ok(!readings.isAfter(2))
  assert.ok(!readings.isAfter(1))
  readings.note(2, SECOND)
  assert.ok(!readings.isAfter(2))
  readings.note(2, THIRD)
  assert.ok(readings.isAfter(2))
})

test("readings before a layout took effect do not count for it, and none counts for an earlier one", () => {
  const readings = new Readings()
  for (const live of [FIRST, SECOND, THIRD]) readings.note(7, live)
  assert.ok(readings.isAfter(7))
  readings.note(8, FOURTH)
  assert.ok(!readings.isAfter(7))
  assert.ok(!readings.isAfter(8))
  for (const live of [FIRST, SECOND]) readings.note(8, live)
  assert.ok(readings.isAfter(8))
})
