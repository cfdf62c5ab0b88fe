import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB, MIB } from "../base/limits.js"
import { ShardBuffers } from "./shard-buffers.js"

test("what is given back is lent again, whatever view of it comes back, and nothing is lent twice at once", () => {
  const buffers = new ShardBuffers(4 * MIB)
  const first = buffers.take(MIB + 300)
  const second = buffers.take(MIB + 300)
  assert.notEqual(first.buffer, second.buffer)
  assert.equal(first.length, MIB + 300)
  buffers.give(first.subarray(300))
  const third = buffers.take(MIB + 200)
  assert.equal(third.buffer, first.buffer)
  assert.equal(third.length, MIB + 200)
  buffers.give(third)
  buffers.give(third)
  assert.equal(buffers.take(MIB + 1).buffer, first.buffer)
  assert.notEqual(buffers.take(MIB + 1).buffer, first.buffer)
})

test("strangers are left alone, other lengths are not mixed up, and no more is kept than allowed", () => {
  const buffers = new ShardBuffers(512 * KIB)
  buffers.give(new Uint8Array(256 * KIB))
  const some = [1, 2, 3].map(() => buffers.take(100 * KIB))
  for (const each of some) buffers.give(each)
  assert.equal(buffers.take(MIB).length, MIB)
  const again = [1, 2, 3].map(() => buffers.take(100 * KIB))
  const known = new Set(some.map(({ buffer }) => buffer))
  assert.equal(again.filter(({ buffer }) => known.has(buffer)).length, 2)
})
