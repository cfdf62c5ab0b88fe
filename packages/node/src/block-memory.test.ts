/** A class or a bucket of a running store may get any policy with no more parity shards than data shards. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB, MIB, SHARDS_MAX } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { shapeOf } from "@hayloft/engine/block/index.js"
import { slabBytesOf } from "@hayloft/base/seams/compute/index.js"
import { slabBytesFor } from "./block-memory.js"

test("the buffers of a store on one device hold a block under every policy with no more parity than data", () => {
  for (const blockBytes of [64 * KIB, MIB, 8 * MIB]) {
    const slabBytes = slabBytesFor([parsePolicy("replica:1")], blockBytes)
    for (let k = 1; k < SHARDS_MAX; k += 1) {
      for (let m = 1; m <= k && k + m <= SHARDS_MAX; m += 1) {
        const policy = `ec:${k}+${m}`
        assert.ok(slabBytesOf(shapeOf(parsePolicy(policy)), blockBytes) <= slabBytes, policy)
      }
    }
    assert.ok(slabBytes < 2.5 * blockBytes + MIB, "the policies cost little more memory than two blocks")
  }
})
