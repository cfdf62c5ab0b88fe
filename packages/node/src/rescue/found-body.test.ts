/** The bytes of an upload that was encrypted after it was written: before, while and after that. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseUploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { openedBytesOf } from "@hayloft/base/encryption/segments.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { plainBytesOf, storedBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { bodyOfUpload } from "./found-body.js"
import type { CatalogedShard, CatalogedUpload } from "./needle-catalog.js"

const BLOCK_BYTES = 64 * KIB
/** Three blocks, plain or sealed. */
const PLAIN_BYTES = 3 * openedBytesOf(BLOCK_BYTES) - 5
const STORED_BYTES = storedBytesOf(PLAIN_BYTES, BLOCK_BYTES)
const uploadId = parseUploadId("1".padStart(32, "0"))
const policy = parsePolicy("ec:2+1")

/** All shards of these blocks of a body. */
const shardsOf = (generation: number, lengthBytes: number, blocks: readonly number[]): CatalogedShard[] =>
  blocks.flatMap(block =>
    [0, 1, 2].map(slot => ({
      folder: slot,
      block,
      generation,
      slot,
      policy,
      place: { volume: 1, offsetBytes: 0, headerBytes: 0, bodyBytes: 0 },
      blockLengthBytes: Math.min(BLOCK_BYTES, lengthBytes - block * BLOCK_BYTES),
    })),
  )
const plainShards = (...blocks: readonly number[]) => shardsOf(0, PLAIN_BYTES, blocks)
const sealedShards = (...blocks: readonly number[]) => shardsOf(2, STORED_BYTES, blocks)

const born = { multipartId: undefined, plannedLengthBytes: PLAIN_BYTES }
const plainOnly: CatalogedUpload = { uploadId, part: 0, latest: 0, born }
const both: CatalogedUpload = { ...plainOnly, sealed: { from: 2, lengthBytes: STORED_BYTES, sealedAs: uploadId } }
const plainRow: Extent = {
  uploadId,
  part: 0,
  lengthBytes: PLAIN_BYTES,
  blockBytes: BLOCK_BYTES,
  policy,
  generation: 0,
  exceptions: [],
}
const sealedRow: Extent = { ...plainRow, lengthBytes: STORED_BYTES, generation: 2, isSealed: true }

test("whatever a row or no row says, an upload is read as plaintext or as sealed, never as both", () => {
  const found = (upload: CatalogedUpload, shards: readonly CatalogedShard[], row: Extent | undefined) => {
    const body = bodyOfUpload(upload, { shards, removed: 0 }, row, BLOCK_BYTES)
    if (body.kind === "incomplete") return "incomplete"
    const generations = new Set(body.shards.map(({ generation }) => generation))
    assert.equal(plainBytesOf(body.extent), PLAIN_BYTES)
    assert.equal(body.extent.isSealed === true, generations.has(2))
    assert.equal(generations.size, 1)
    return body.extent.isSealed ? "sealed" : "plain"
  }
  for (const row of [undefined, plainRow, sealedRow]) {
    assert.equal(found(both, [...plainShards(0, 1, 2), ...sealedShards(0, 1, 2)], row), "sealed")
    assert.equal(found(both, sealedShards(0, 1, 2), row), "sealed", "the plain blocks are gone")
    assert.equal(found(both, [...plainShards(1), ...sealedShards(0, 1, 2)], row), "sealed", "some are")
    assert.equal(found(both, [...plainShards(0, 1, 2), ...sealedShards(0)], row), "plain", "it has just begun")
    assert.equal(
      found(both, [...plainShards(0, 1, 2), ...sealedShards(0, 1)], row),
      "plain",
      "the last block is missing",
    )
    assert.equal(found(both, [...plainShards(2), ...sealedShards(0, 1)], row), "incomplete")
    assert.equal(found(both, [...plainShards(0, 1), ...sealedShards(2)], row), "incomplete")
  }
  assert.equal(found(plainOnly, plainShards(0, 1, 2), plainRow), "plain")
})

test("an upload that was encrypted from the beginning is whole although only its first block was re-encoded", () => {
  const shards = [...shardsOf(0, STORED_BYTES, [1, 2]), ...shardsOf(3, STORED_BYTES, [0])]
  const sealed = { from: 3, lengthBytes: STORED_BYTES, sealedAs: uploadId }
  const unborn = { multipartId: undefined, plannedLengthBytes: undefined }
  const body = bodyOfUpload({ uploadId, part: 0, born: unborn, sealed }, { shards, removed: 0 }, undefined, BLOCK_BYTES)
  assert.ok(body.kind === "whole" && body.extent.isSealed)
})
