/** The service of undelete: a purge ends after as many objects as it may remove, and goes on. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import { putOf, randomOf } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import { Undelete } from "./undelete.js"
import "../index.js"

const COUNT = 600

test("a purge removes at most what it may, and the same call goes on until nothing is left", async () => {
  const metadata = new MemoryMetadata()
  const request = { name: parseBucketName("photos"), owner: parseAccountId("root"), location: "" }
  const { id: bucketId } = await metadata.run(createBucket(request))
  const undelete = new Undelete(metadata, { nowMs: () => 1 }, async () => undefined)
  await undelete.setUndelete(bucketId, 3)
  for (let at = 0; at < COUNT; at += 1) {
    const key = objectKeyOfText(`${at % 2}/${at}`)
    await metadata.run(putVersion({ ...putOf({ bucketId }, at + 1, { sizeBytes: 2 }), key }))
    await metadata.run(removeLatest({ bucketId, key, conditions: {}, random: randomOf(1) }))
  }
  const even = { prefix: "0/", max: 1 }
  assert.deepEqual(await undelete.purgeDeleted(bucketId, even), { objects: 256, bytes: 512, hasMore: true })
  assert.deepEqual(await undelete.purgeDeleted(bucketId, even), { objects: 44, bytes: 88, hasMore: false })
  assert.deepEqual(await undelete.purgeDeleted(bucketId, even), { objects: 0, bytes: 0, hasMore: false })
  const odd = { bucket: "photos", days: 3, kept: { objects: COUNT / 2, bytes: COUNT } }
  await undelete.refresh()
  assert.deepEqual(undelete.kept(), [odd], "the others stay")
})
