/** Recovery headers that are rebuilt from rows, as repair and re-encoding write them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { decodeRecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { setBucketLock, setVersioning } from "../commands/bucket-commands-core.js"
import { createUpload, putPart } from "../commands/multipart-commands-core.js"
import { extentOf, KEY, newBucket, putOf, randomOf, uploadOf } from "../commands/testing-bucket.js"
import { putVersion, setLegalHold, setRetention } from "../commands/version-commands-core.js"
import { namingsOf, recoveryHeaderOf } from "./named-extents-core.js"
import "../testing-features.js"

const UNTIL = { mode: "COMPLIANCE", untilMs: Date.UTC(2200, 0) } as const
const LATER = { mode: "COMPLIANCE", untilMs: Date.UTC(2300, 0) } as const

async function scene() {
  const { metadata, bucketId } = await newBucket()
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(setBucketLock(bucketId, undefined))
  const headerOf = (number: number) => {
    const name = { bucketId, key: KEY, uploadId: uploadOf(number) }
    const naming = must(firstOf(namingsOf(metadata.committed, name)), "a row names it")
    return decodeRecoveryHeader(must(recoveryHeaderOf(metadata.committed, name, naming), "its bucket exists"))
  }
  return { metadata, bucketId, headerOf }
}

test("a rebuilt header tells the lock that the version has now", async () => {
  const { metadata, bucketId, headerOf } = await scene()
  await metadata.run(putVersion(putOf({ bucketId }, 1)))
  assert.equal(headerOf(1).lock, undefined)
  const address = { bucketId, key: KEY, versionId: undefined }
  await metadata.run(setRetention(address, { retention: UNTIL, clockMs: 0, bypassGovernance: false }))
  assert.deepEqual(headerOf(1).lock, { retention: UNTIL, legalHold: undefined })
  await metadata.run(setLegalHold(address, true))
  await metadata.run(setRetention(address, { retention: LATER, clockMs: 0, bypassGovernance: false }))
  assert.deepEqual(headerOf(1).lock, { retention: LATER, legalHold: true })
})

test("a rebuilt header of a part tells the lock of its upload", async () => {
  const { metadata, bucketId, headerOf } = await scene()
  const address = { bucketId, key: KEY, multipartId: multipartIdOf(1, randomOf(1)) }
  const lock = { retention: UNTIL, legalHold: true }
  await metadata.run(createUpload(address, { details: NO_DETAILS, checksum: undefined, completion: undefined, lock }))
  const part = { partNumber: 1, md5: randomOf(2), checksumValue: undefined, extent: extentOf(2, { part: 1 }) }
  await metadata.run(putPart({ ...address, part, hints: [] }))
  assert.deepEqual(headerOf(2).lock, lock)
})
