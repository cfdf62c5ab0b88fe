/** The report of what undelete keeps: which buckets it lists, and how it shows a lost count. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { deletedUsageRowKey, encodeUsage } from "@hayloft/engine/format/objects/usage.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { bucketNamed } from "@hayloft/objects/buckets/bucket-service.js"
import { createBucket } from "@hayloft/objects/commands/bucket-commands-core.js"
import "@hayloft/objects/testing-features.js"
import { Undelete } from "./undelete.js"

test("it reports buckets that keep what is deleted, also after undelete was switched off while something is kept", async () => {
  const metadata = new MemoryMetadata()
  for (const name of ["first", "second", "third"])
    await metadata.run(createBucket({ name: parseBucketName(name), owner: parseAccountId("owner"), location: "" }))
  const undelete = new Undelete(metadata, { nowMs: () => 0 }, async () => undefined)
  const bucketId = async (name: string) => must(await metadata.ask(bucketNamed(parseBucketName(name))), "a bucket").id
  for (const name of ["second", "third"]) await undelete.setUndelete(await bucketId(name), 5)
  await undelete.setUndelete(await bucketId("third"), undefined)
  await undelete.refresh()
  assert.deepEqual(undelete.kept(), [{ bucket: "second", days: 5, kept: { objects: 0, bytes: 0 } }])
  metadata.plant(
    "usage",
    deletedUsageRowKey(await bucketId("third")),
    encodeUsage({ bytes: 70, objects: 2, partBytes: 0 }),
  )
  metadata.lose("usage", deletedUsageRowKey(await bucketId("second")))
  await undelete.refresh()
  assert.deepEqual(
    undelete.kept().map(({ bucket, days, kept }) => [bucket, days, kept]),
    [
      ["second", 5, undefined],
      ["third", undefined, { objects: 2, bytes: 70 }],
    ],
  )
})
