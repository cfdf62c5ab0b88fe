import { test } from "node:test"
import assert from "node:assert/strict"
import { KIB, MIB } from "../base/limits.js"
import { ReadBuffers } from "./read-buffers.js"

test("what is given back is lent again, and nothing is lent twice at once", () => {
  const buffers = new ReadBuffers(8 * MIB)
  const [first, second] = [buffers.take(MIB), buffers.take(100 * KIB)]
  assert.deepEqual([first.length, second.length], [MIB, 100 * KIB])
  assert.notEqual(first.buffer, second.buffer)
  // Whoever read into it hands out a part of it.
  buffers.give(first.subarray(100, 200))
  assert.equal(buffers.take(500 * KIB).buffer, first.buffer)
  assert.notEqual(buffers.take(500 * KIB).buffer, first.buffer)
})

test("small pieces and strangers are left alone, and no more is kept than allowed", () => {
  const buffers = new ReadBuffers(3 * MIB)
  buffers.give(new Uint8Array(MIB))
  buffers.give(Buffer.from("from the pool"))
  const small = buffers.take(1000)
  buffers.give(small)
  assert.notEqual(buffers.take(1000).buffer, small.buffer)
  const taken = Array.from({ length: 6 }, () => buffers.take(MIB))
  for (const each of taken) buffers.give(each)
  const again = Array.from({ length: 6 }, () => buffers.take(MIB).buffer)
  assert.equal(again.filter(buffer => taken.some(each => each.buffer === buffer)).length, 2)
})
