/** Tests of what a process knows of the incarnations of others, as last read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { encodeHaltNote } from "../format/nodes/halt-note.js"
import { KnownIncarnations } from "./incarnation.js"

const live = (...incarnations: readonly number[]) =>
  incarnations.map(incarnation => ({ node: `node ${incarnation}`, process: "", incarnation, numbers: [] }))

const listOf = (...incarnations: readonly number[]) => ({
  live: live(...incarnations),
  highest: 9,
  halt: undefined,
  reconciliations: 0,
})

test("the oldest live incarnation is this one, unless an earlier one is not over", () => {
  const known = new KnownIncarnations(parseIncarnation(7))
  assert.equal(known.oldestLive, 7)
  known.learn(listOf(7, 9))
  assert.equal(known.oldestLive, 7)
  known.learn(listOf(5, 6, 7, 9))
  assert.equal(known.oldestLive, 5)
  known.learn(listOf(6, 7))
  assert.equal(known.oldestLive, 6)
})

test("an incarnation that began since the list was read is not over", () => {
  const known = new KnownIncarnations(parseIncarnation(7))
  known.learn(listOf(7))
  assert.equal(known.isOver(parseIncarnation(9)), true)
  assert.equal(known.isOver(parseIncarnation(10)), false)
})

test("while the store is halted no incarnation counts as over, though it has ended", () => {
  const known = new KnownIncarnations(parseIncarnation(7))
  known.learn({
    ...listOf(7),
    halt: { number: 1, note: encodeHaltNote({ reason: "a test", highest: parseIncarnation(9), live: [] }) },
  })
  assert.equal(known.isOver(parseIncarnation(5)), false)
  assert.equal(known.hasEnded(parseIncarnation(5)), true)
  known.learn(listOf(7))
  assert.equal(known.isOver(parseIncarnation(5)), true)
})
