/** Commands of a reconciliation: rows for uploads that a rolled-back database does not know. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { decodePart, type PartRecord } from "@hayloft/engine/format/records.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { createUpload, partKey, putPart, sealUpload } from "@hayloft/objects/commands/multipart-commands-core.js"
import { createBucket, setBucketLock, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import {
  extentOf,
  foreignUploadOf,
  KEY,
  newBucket,
  putOf,
  randomOf,
  refuses,
  released,
  uploadOf,
} from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion } from "@hayloft/objects/commands/version-commands-core.js"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { keyFacts, raiseBucketIds, restorePart, restoreVersion } from "./restore-commands-core.js"
import "@hayloft/objects/testing-features.js"

const OWNER = parseAccountId("root")
const MULTIPART = multipartIdOf(1, randomOf(1))

async function scene() {
  const { metadata, bucketId, row } = await newBucket()
  const restore = (extent = extentOf(2)) => {
    const { content: _, ...version } = putOf({ bucketId }, 2).version
    return metadata.run(restoreVersion({ bucketId, key: KEY, extent, version }))
  }
  const facts = () => metadata.ask(keyFacts(bucketId, KEY, [MULTIPART]))
  return { metadata, bucketId, row, restore, facts }
}

test("an upload becomes the latest version once, and what it replaces is a pending deletion", async () => {
  const { metadata, bucketId, restore, facts } = await scene()
  await metadata.run(putVersion(putOf({ bucketId }, 1)))
  assert.equal(await restore(), "restored")
  assert.equal((await facts()).present, uploadOf(2))
  assert.equal(await restore(), "present")
  assert.equal(released({ metadata }).length, 1)
})

test("nothing replaces an object that is certainly newer", async () => {
  const { metadata, bucketId, restore, facts } = await scene()
  await metadata.run(putVersion(putOf({ bucketId }, 3)))
  assert.equal(await restore(), "newer")
  assert.equal((await facts()).present, uploadOf(3))
  assert.equal(await restore(extentOf(2, { uploadId: foreignUploadOf(1) })), "restored")
})

test("nothing replaces an object of segments, and an open multipart upload leaves doubt", async () => {
  const { metadata, bucketId, restore, facts } = await scene()
  assert.equal((await facts()).doubt, undefined)
  const address = { bucketId, key: KEY, multipartId: MULTIPART }
  const details = { headers: [], userMetadata: [], tags: [] }
  await metadata.run(createUpload(address, { details, checksum: undefined, completion: undefined }))
  assert.match((await facts()).doubt ?? "", /multipart upload/)
  const content = { kind: "segments", multipartId: MULTIPART, completion: randomOf(9) } as const
  await metadata.run(putVersion(putOf({ bucketId }, 1, { content })))
  assert.match((await facts()).doubt ?? "", /segments/)
  assert.equal(await restore(), "newer")
})

test("in a versioned bucket the version before stays", async () => {
  const { metadata, bucketId, restore, facts } = await scene()
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(putVersion(putOf({ bucketId }, 1)))
  assert.equal(await restore(), "restored")
  assert.equal((await facts()).versioning, "enabled")
  assert.equal(released({ metadata }).length, 0)
})

test("what is put back is locked as its header says, and otherwise by the bucket's default retention from now", async () => {
  const { metadata, bucketId, row } = await scene()
  const restore = (number: number, lock?: VersionLock, clockMs = 0) => {
    const { content: _, ...version } = putOf({ bucketId }, number, { lock }).version
    return metadata.run(restoreVersion({ bucketId, key: KEY, extent: extentOf(number), version, clockMs }))
  }
  const lockNow = () => decodeVersion((metadata.committed.get("current", row) ?? assert.fail()).value).lock
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(setBucketLock(bucketId, { mode: "COMPLIANCE", unit: "days", count: 10 }))
  const days = (count: number) => count * 86_400_000
  const FAR = days(30_000)
  // Also one that is over by now: nothing of it is forgotten.
  const given = { retention: { mode: "GOVERNANCE", untilMs: 5 }, legalHold: undefined } as const
  assert.equal(await restore(1, given), "restored")
  assert.deepEqual(lockNow(), given)
  assert.equal(await restore(2, undefined, FAR), "restored")
  assert.deepEqual(lockNow()?.retention, { mode: "COMPLIANCE", untilMs: FAR + days(10) })
  assert.equal(await restore(3, { retention: undefined, legalHold: true }, FAR), "restored")
  assert.deepEqual(lockNow(), { retention: { mode: "COMPLIANCE", untilMs: FAR + days(10) }, legalHold: true })
})

test("a lock stays although the rolled-back bucket has none, and then nothing replaces the version", async () => {
  const { metadata, bucketId, row } = await scene()
  const lock = { retention: undefined, legalHold: true } as const
  const restore = (number: number) => {
    const { content: _, ...version } = putOf({ bucketId }, number, { lock }).version
    return metadata.run(restoreVersion({ bucketId, key: KEY, extent: extentOf(number), version }))
  }
  assert.equal(await restore(1), "restored")
  assert.deepEqual(decodeVersion((metadata.committed.get("current", row) ?? assert.fail()).value).lock, lock)
  await refuses(restore(2), "objectLocked")
  await refuses(metadata.run(putVersion(putOf({ bucketId }, 3))), "objectLocked")
  assert.deepEqual(released({ metadata }), [])
})

test("a part is put back only into an upload that is open, and over no newer one", async () => {
  const { metadata, bucketId, row, facts } = await scene()
  const address = { bucketId, key: KEY, multipartId: MULTIPART }
  const partOf = (number: number): Omit<PartRecord, "modifiedMs"> => ({
    partNumber: 4,
    md5: randomOf(number),
    checksumValue: undefined,
    extent: extentOf(number, { part: 4 }),
  })
  const restore = (number: number) => metadata.run(restorePart({ ...address, part: partOf(number) }))
  assert.equal(await restore(2), "newer")
  const details = { headers: [], userMetadata: [], tags: [] }
  await metadata.run(createUpload(address, { details, checksum: undefined, completion: undefined }))
  await metadata.run(putPart({ ...address, part: partOf(1), hints: [] }))
  assert.equal(await restore(2), "restored")
  assert.equal(await restore(2), "present")
  assert.equal(await restore(1), "newer")
  const [of] = (await facts()).multipart
  assert.deepEqual(of, { multipartId: MULTIPART, isSealed: false, parts: [{ partNumber: 4, uploadId: uploadOf(2) }] })
  const stored = metadata.committed.get("parts", partKey(address, 4))
  assert.ok(stored && decodePart(stored.value).modifiedMs > 0 && row.length > 0)
  await metadata.run(sealUpload(address, { incarnation: 1, token: randomOf(9) }))
  assert.equal(await restore(3), "newer")
})

test("buckets that are made later have ids above all that devices have seen", async () => {
  const { metadata } = await scene()
  await metadata.run(raiseBucketIds(41))
  await metadata.run(raiseBucketIds(7))
  const { id } = await metadata.run(createBucket({ name: parseBucketName("later"), owner: OWNER, location: "" }))
  assert.equal(id, 42)
})
