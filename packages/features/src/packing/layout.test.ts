/** Checks where objects are in a pack: no short one lies across a border, and little space is lost. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { shardBytesOfBlock } from "@hayloft/base/policy.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { ALIGNED_BYTES_MAX, layoutPack } from "./layout-core.js"

const random = new SimRandom(TEST_SEED)

test("objects do not overlap, short ones touch one sub-block of one shard, and the end is free", () => {
  for (let round = 0; round < 400; round += 1) {
    const shards = 1 + random.below(10)
    const sizes = Array.from(
      { length: 1 + random.below(128) },
      () => 1 + random.below(random.below(3) === 0 ? 64 * KIB : 8 * KIB),
    )
    const reserveBytes = 16 + random.below(20_000)
    const layout = layoutPack(sizes, { shards, blockBytes: 16 * MIB, reserveBytes })
    assert.ok(layout !== undefined)
    const { offsets, lengthBytes } = layout
    const shardBytes = shardBytesOfBlock(shards, lengthBytes)
    assert.equal(shardBytes * shards, lengthBytes)
    const ranges = sizes
      .map((size, i) => [offsets[i] ?? 0, (offsets[i] ?? 0) + size] as const)
      .sort((a, b) => a[0] - b[0])
    ranges.reduce((end, [first, next]) => (assert.ok(first >= end), next), 0)
    assert.ok((ranges.at(-1)?.[1] ?? 0) + reserveBytes <= lengthBytes)
    const subBlock = (at: number) => [Math.floor(at / shardBytes), Math.floor((at % shardBytes) / SUB_BLOCK_BYTES)]
    for (const [i, size] of sizes.entries()) {
      const first = offsets[i] ?? 0
      if (size <= Math.min(ALIGNED_BYTES_MAX, shardBytes)) assert.deepEqual(subBlock(first), subBlock(first + size - 1))
    }
  }
})

test("a pack of equal short objects is as long as they are, up to the ends of its shards", () => {
  for (const size of [1, 700, KIB, 4 * KIB, 16 * KIB, 40 * KIB, 64 * KIB]) {
    const sizes = Array.from({ length: 64 }, () => size)
    const layout = layoutPack(sizes, { shards: 4, blockBytes: 16 * MIB, reserveBytes: 64 })
    assert.ok(layout !== undefined && layout.lengthBytes <= 1.07 * (64 * size + 64) + 1_024, `${size}`)
  }
})

test("objects that do not fit in a block are refused", () => {
  assert.equal(layoutPack([KIB, KIB], { shards: 2, blockBytes: 2 * KIB, reserveBytes: 1 }), undefined)
  assert.ok(layoutPack([KIB, KIB], { shards: 2, blockBytes: 4 * KIB, reserveBytes: 1 }) !== undefined)
})
