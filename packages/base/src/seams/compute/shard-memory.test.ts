import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "../../limits.js"
import { ShardRegion } from "./shard-memory.js"

const REGION_AT = 64 * KIB
const UNIT = 64 * KIB

function open(units: number): { shards: ShardRegion; isInside: (bytes: Uint8Array) => boolean } {
  const memory = new WebAssembly.Memory({ initial: 1 + units, maximum: 1 + units })
  const shards = new ShardRegion(memory, REGION_AT, units * UNIT)
  return { shards, isInside: bytes => bytes.buffer === memory.buffer }
}

test("no memory is lent twice, and shards are aligned for coders, whatever their headers", () => {
  const { shards, isInside } = open(64)
  const held: Uint8Array[] = []
  for (let i = 0; held.every(isInside); i += 1) {
    for (const [n, bytes] of held.entries()) assert.ok(bytes.every(byte => byte === n + 1))
    // Now and then some in the middle are returned.
    if (i % 5 === 4) for (const bytes of held.splice(1, 2)) shards.give(bytes)
    const header = 300 + 40 * i
    const bytes = shards.take(header + 64 * KIB * (1 + (i % 7)))
    assert.ok(!isInside(bytes) || (bytes.byteOffset >= REGION_AT && (bytes.byteOffset + header) % 64 === 0))
    held.push(bytes)
    for (const [n, each] of held.entries()) each.fill(n + 1)
    assert.ok(i < 1000, "the region ends some day")
  }
})

test("returned memory can be lent again as one buffer, and a buffer that does not fit is allocated elsewhere", () => {
  const { shards, isInside } = open(8)
  const some = [1, 2, 3].map(units => shards.take(units * UNIT))
  assert.ok(some.every(isInside))
  const tooLong = shards.take(3 * UNIT)
  assert.equal(isInside(tooLong), false)
  assert.equal(isInside(shards.take(1000)), false, "short ones are not worth a unit")
  for (const bytes of [...some.reverse(), tooLong]) shards.give(bytes)
  assert.equal(isInside(shards.take(8 * UNIT)), true)
  assert.equal(shards.take(UNIT).length, UNIT)
})
