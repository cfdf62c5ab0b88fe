import assert from "node:assert/strict"
import { test } from "node:test"
import { parseUploadId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "../format/needles/extent.js"
import { RebuiltRanges } from "./rebuilt-ranges.js"

const extentOf = (part: number): Extent => ({
  uploadId: parseUploadId("0".repeat(32)),
  part,
  lengthBytes: 4000,
  blockBytes: 4000,
  policy: parsePolicy("ec:2+1"),
  generation: 0,
  exceptions: [],
})
const release = (): void => undefined
const shardsOf = (...slots: number[]) =>
  Promise.resolve(new Map(slots.map(slot => [slot, Uint8Array.from([10 * slot, 10 * slot + 1, 10 * slot + 2])])))

test("a piece is taken once, from the latest range of its block that covers it", async () => {
  const rebuilt = new RebuiltRanges(() => undefined)
  const extent = extentOf(1)
  const piece = { block: 0, slot: 1, offsetBytes: 101, lengthBytes: 2 }
  assert.ok(!rebuilt.isLossy)
  assert.equal(rebuilt.take(extent, piece), undefined)
  rebuilt.keep({ extent: extent, block: 0, from: 100, to: 103, shards: shardsOf(0), release })
  assert.ok(rebuilt.isLossy)
  assert.equal(await rebuilt.take(extent, piece), undefined, "that range was rebuilt without its slot")
  rebuilt.keep({ extent: extent, block: 0, from: 100, to: 103, shards: shardsOf(0, 1), release })
  assert.equal(rebuilt.take(extentOf(1), piece), undefined, "another read's extent")
  assert.equal(rebuilt.take(extent, { ...piece, lengthBytes: 3 }), undefined, "it extends beyond the range")
  assert.deepEqual(await rebuilt.take(extent, piece), Uint8Array.from([11, 12]))
  assert.equal(await rebuilt.take(extent, piece), undefined, "the slot was taken already")
  rebuilt.keep({
    extent: extent,
    block: 1,
    from: 100,
    to: 103,
    shards: Promise.reject(new Error("too few shards are left")),
    release,
  })
  assert.equal(await rebuilt.take(extent, { ...piece, block: 1 }), undefined)
})
