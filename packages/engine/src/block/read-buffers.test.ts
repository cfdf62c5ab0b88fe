import { test } from "node:test"
import assert from "node:assert/strict"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { ReadBuffers } from "./read-buffers.js"

test("returned memory is lent again, and no memory is lent twice at the same time", () => {
  const buffers = new ReadBuffers({ longBuffers: 7, shortBuffers: 2 })
  const [first, second] = [buffers.take(MIB), buffers.take(500 * KIB)]
  assert.deepEqual([first.length, second.length], [MIB, 500 * KIB])
  assert.ok(first.buffer === second.buffer && Math.abs(first.byteOffset - second.byteOffset) >= MIB)
  // The reader returns only a part of the buffer.
  buffers.give(first.subarray(100, 200))
  assert.equal(buffers.take(500 * KIB).byteOffset, first.byteOffset)
  assert.notEqual(buffers.take(500 * KIB).byteOffset, first.byteOffset)
})

test("small pieces and foreign buffers are left alone, and no more buffers are kept than allowed", () => {
  const buffers = new ReadBuffers({ longBuffers: 2, shortBuffers: 2 })
  buffers.give(new Uint8Array(MIB))
  buffers.give(Buffer.from("from the pool"))
  const small = buffers.take(1000)
  buffers.give(small)
  const taken = Array.from({ length: 6 }, () => buffers.take(MIB))
  const kept = new Set(taken.map(({ buffer }) => buffer)).size
  assert.equal(kept, 5, "two share one memory, four have their own")
  for (const each of taken) buffers.give(each)
  assert.deepEqual(
    taken.map(({ length }) => length).filter(length => length > 0),
    [MIB, MIB],
    "their own memory is freed immediately",
  )
  const again = Array.from({ length: 6 }, () => buffers.take(MIB).buffer)
  assert.equal(again.filter(buffer => taken.some(each => each.buffer === buffer)).length, 2)
})

test("short pieces leave the long buffers to long ones", () => {
  const buffers = new ReadBuffers({ longBuffers: 1, shortBuffers: 1 })
  const [short, own, long] = [buffers.take(64 * KIB), buffers.take(64 * KIB), buffers.take(MIB)]
  assert.ok(short.buffer === long.buffer && own.buffer !== long.buffer)
  buffers.give(short.subarray(10))
  assert.equal(buffers.take(100 * KIB).byteOffset, short.byteOffset)
})
