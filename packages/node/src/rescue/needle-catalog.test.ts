/** Shards of many folders, and bytes that waited for their deletion, in the catalog of a rescue. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseBucketId, parseBucketName, parsePartitionId, parseUploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ShardHeader } from "@hayloft/engine/format/needles/needle.js"
import { encodeRecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import { NeedleCatalog } from "./needle-catalog.js"

const uploadId = parseUploadId("ab".repeat(16))
const place = { volume: 1, offsetBytes: 4 * KIB, headerBytes: 100, bodyBytes: KIB }
const shard = (generation: number, slot: number): ShardHeader => ({
  kind: "shard",
  bodyBytes: KIB,
  checksums: new Uint8Array(8),
  recoveryHeader: undefined,
  id: { partition: parsePartitionId(0), uploadId, part: 0, block: 0, generation, slot },
  owner: { bucketId: parseBucketId(1), key: objectKeyOfText("key") },
  policy: parsePolicy("ec:2+1"),
  blockLengthBytes: KIB,
})

test("a shard is in the folder in which it was found, however many there are", () => {
  const catalog = new NeedleCatalog(10, () => true)
  const folders = [0, 255, 256, 4_095]
  for (const [slot, folder] of folders.entries()) catalog.add(folder, shard(0, slot), place)
  const [upload] = [...catalog.keys()].flatMap(({ uploads }) => uploads)
  assert.ok(upload)
  const found = catalog.shardsOf(upload).shards.map(({ folder }) => folder)
  assert.deepEqual(found.reverse(), folders)
})

test("bytes that waited for their deletion are not kept, unless the upload was re-encoded since", () => {
  const catalog = new NeedleCatalog(10, () => true)
  catalog.add(0, shard(2, 0), place)
  const upload = catalog.upload(uploadId)
  assert.ok(upload && catalog.isKept(upload))
  catalog.markUnreferenced({ uploadId, generation: 1 })
  assert.ok(catalog.isKept(upload), "these are of the generation before")
  catalog.markUnreferenced({ uploadId, generation: 2 })
  catalog.markUnreferenced({ uploadId, generation: 0 })
  assert.ok(!catalog.isKept(upload))
  catalog.add(1, shard(3, 0), place)
  assert.ok(catalog.isKept(upload))
})

test("the newest secret of a bucket with object lock is taken, whichever upload has it", () => {
  const lock = { retention: undefined, legalHold: true }
  const ofUpload = (first: string, epoch: number): ShardHeader => {
    const { id, ...rest } = shard(0, 0)
    const sealing = { key: { mode: "s3" }, secret: 1, salt: new Uint8Array(16) } as const
    const recoveryHeader = encodeRecoveryHeader({
      bucket: parseBucketName("locked"),
      contentType: "",
      userMetadata: [],
      plannedLengthBytes: KIB,
      multipartId: "",
      lock,
      sealed: { sealing, epoch, sealedSecret: Uint8Array.of(epoch) },
    })
    return { ...rest, id: { ...id, uploadId: parseUploadId(first.repeat(16)) }, recoveryHeader }
  }
  for (const wantsAll of [true, false]) {
    const catalog = new NeedleCatalog(10, () => wantsAll)
    for (const header of [ofUpload("ab", 1), ofUpload("cd", 1), ofUpload("ab", 2)]) catalog.add(0, header, place)
    const { epoch, sealed } = catalog.sealedSecrets.get(parseBucketId(1)) ?? assert.fail("it has a secret")
    assert.deepEqual([epoch, ...sealed], [2, 2])
  }
})
