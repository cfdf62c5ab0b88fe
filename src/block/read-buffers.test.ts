import { test } from "node:test"
import assert from "node:assert/strict"
import { KIB, MIB } from "../base/limits.js"
import { ReadBuffers } from "./read-buffers.js"

test("what is given back is lent again, and nothing is lent twice at once", () => {
  const buffers = new ReadBuffers(8 * MIB)
  const [first, second] = [buffers.take(MIB), buffers.take(100 * KIB)]
  assert.deepEqual([first.length, second.length], [MIB, 100 * KIB])
  assert.ok(first.buffer === second.buffer && Math.abs(first.byteOffset - second.byteOffset) >= MIB)
  // Whoever read into it hands out a part of it.
  buffers.give(first.subarray(100, 200))
  assert.equal(buffers.take(500 * KIB).byteOffset, first.byteOffset)
  assert.notEqual(buffers.take(500 * KIB).byteOffset, first.byteOffset)
})

test("small pieces and strangers are left alone, and no more is kept than allowed", () => {
  const buffers = new ReadBuffers(3 * MIB)
  buffers.give(new Uint8Array(MIB))
  buffers.give(Buffer.from("from the pool"))
  const small = buffers.take(1000)
  buffers.give(small)
  const taken = Array.from({ length: 6 }, () => buffers.take(MIB))
  const kept = new Set(taken.map(({ buffer }) => buffer)).size
  assert.equal(kept, 5, "two are of one memory, four have their own")
  for (const each of taken) buffers.give(each)
  const again = Array.from({ length: 6 }, () => buffers.take(MIB).buffer)
  assert.equal(again.filter(buffer => taken.some(each => each.buffer === buffer)).length, 2)
})
