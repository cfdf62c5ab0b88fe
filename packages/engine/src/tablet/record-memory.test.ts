import assert from "node:assert/strict"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { RecordMemory } from "./record-memory.js"

test("memory is reused once it was given back, and never before", () => {
  const memory = new RecordMemory()
  const first = memory.take(1000)
  const second = memory.take(1000)
  assert.notEqual(second.buffer, first.buffer, "the first was not given back")
  memory.giveBack()
  assert.equal(memory.take(1500).buffer, second.buffer)
  memory.giveBack()
  const larger = memory.take(5000)
  assert.ok(larger.length >= 5000)
  memory.giveBack()
  memory.giveBack()
  assert.equal(memory.take(10).buffer, larger.buffer)
  assert.notEqual(memory.take(10).buffer, larger.buffer)
})

test("memory that is too large is not kept", () => {
  const memory = new RecordMemory()
  const large = memory.take(2 * MIB)
  assert.equal(large.length, 2 * MIB)
  memory.giveBack()
  assert.notEqual(memory.take(10).buffer, large.buffer)
})
