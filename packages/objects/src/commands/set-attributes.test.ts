/** Attributes are replaced in place: what stays, what changes, what locks forbid, and what undelete makes of it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import {
  DETAILS_IN_RECORD_BYTES_MAX,
  etagOfHead,
  NO_DETAILS,
  writtenMsOf,
} from "@hayloft/engine/format/objects/version-record.js"
import { NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { findDeleted } from "@hayloft/features/undelete/deleted-rows-core.js"
import { pageOfObjects, pageOfVersions } from "../object-service.js"
import { pageOf } from "../queries/object-page-core.js"
import { bucketNamed } from "../buckets/bucket-service.js"
import { readVersion } from "../queries/object-info-core.js"
import { setBucketLock, setVersioning } from "./bucket-commands-core.js"
import { KEY, newBucket, putOf, randomOf, refuses, type Scene } from "./testing-bucket.js"
import { setUndelete } from "@hayloft/features/undelete/undelete-commands-core.js"
import { putVersion, removeLatest, setAttributes, setTags } from "./version-commands-core.js"
import "../testing-features.js"

type To = Parameters<typeof setAttributes>[1]

const DETAILS = {
  ...NO_DETAILS,
  headers: [
    ["contentType", "text/plain"],
    ["cacheControl", "no-store"],
    ["websiteRedirect", "/elsewhere"],
  ],
  userMetadata: [["before", "1"]],
  tags: [["team", "storage"]],
} as const

const to = (change: Partial<To> = {}): To => ({ headers: [], userMetadata: [], conditions: {}, clockMs: 0, ...change })
const addressIn = ({ bucketId }: Scene) => ({ bucketId, key: KEY, versionId: undefined })
const read = ({ metadata, bucketId }: Scene) => readVersion(metadata.committed, bucketId, KEY, undefined)

test("replaced attributes are those given; the content type, a redirect, tags and the bytes stay", async () => {
  const scene = await newBucket()
  const { metadata } = scene
  await metadata.run(putVersion(putOf(scene, 1, { details: DETAILS })))
  const before = read(scene)
  metadata.aheadMs += 5_000
  const userMetadata = [["after", "2"]] as const
  const { head } = await metadata.run(setAttributes(addressIn(scene), to({ userMetadata })))
  const after = read(scene)
  assert.deepEqual(Object.fromEntries(after.details.headers), {
    contentType: "text/plain",
    websiteRedirect: "/elsewhere",
  })
  assert.deepEqual(after.details.userMetadata, userMetadata)
  assert.deepEqual(after.details.tags, DETAILS.tags)
  assert.deepEqual(after.record.content, before.record.content)
  assert.equal(etagOfHead(after.record.head), etagOfHead(before.record.head))
  assert.equal(after.record.head.order, before.record.head.order)
  assert.ok(after.record.head.modifiedMs >= before.record.head.modifiedMs + 5_000)
  assert.equal(head.modifiedMs, after.record.head.modifiedMs)
  await metadata.run(setAttributes(addressIn(scene), to({ headers: [["contentType", "a/b"]] })))
  assert.equal(Object.fromEntries(read(scene).details.headers)["contentType"], "a/b")
})

test("what is written next does not count as modified before, whatever the clock says", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(putVersion(putOf(scene, 1)))
  await metadata.run(putVersion(putOf(scene, 2)))
  metadata.aheadMs += 10_000
  const { head } = await metadata.run(setAttributes(addressIn(scene), to()))
  metadata.aheadMs -= 9_000
  const stored = await metadata.run(putVersion(putOf(scene, 3)))
  assert.equal(stored.head.modifiedMs, head.modifiedMs)
})

test("attributes that do not fit the record move to a row of their own, and back", async () => {
  const scene = await newBucket()
  const { metadata } = scene
  await metadata.run(putVersion(putOf(scene, 1)))
  const large = [["k", "x".repeat(DETAILS_IN_RECORD_BYTES_MAX)]] as const
  await metadata.run(setAttributes(addressIn(scene), to({ userMetadata: large })))
  assert.equal(metadata.rows("details"), 1)
  assert.deepEqual(read(scene).details.userMetadata, large)
  await metadata.run(setAttributes(addressIn(scene), to()))
  assert.equal(metadata.rows("details"), 0)
})

test("a version that is held or retained keeps its attributes, and one whose retention is over does not", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(setBucketLock(bucketId, undefined))
  const nowMs = 1_700_000_000_000
  const locks = [
    { retention: { mode: "COMPLIANCE", untilMs: nowMs + 9_000 }, legalHold: undefined },
    { retention: { mode: "GOVERNANCE", untilMs: nowMs + 9_000 }, legalHold: undefined },
    { retention: undefined, legalHold: true },
  ] as const
  for (const [i, lock] of locks.entries()) {
    await metadata.run(putVersion(putOf(scene, 10 + i, { lock })))
    await refuses(metadata.run(setAttributes(addressIn(scene), to({ clockMs: nowMs + 8_999 }))), "objectLocked")
    // Tags may change, as with Amazon.
    await metadata.run(setTags(addressIn(scene), [["a", "b"]]))
  }
  await metadata.run(putVersion(putOf(scene, 20, { lock: locks[0] })))
  await metadata.run(setAttributes(addressIn(scene), to({ clockMs: nowMs + 9_000 })))
})

test("conditions hold for the version that changes, and a missing or deleted object has no attributes", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await refuses(metadata.run(setAttributes(addressIn(scene), to())), "noSuchKey")
  const { head } = await metadata.run(putVersion(putOf(scene, 1)))
  const run = (conditions: To["conditions"]) => metadata.run(setAttributes(addressIn(scene), to({ conditions })))
  await run({ ifMatch: [etagOfHead(head)] })
  await refuses(run({ ifMatch: ["other"] }), "preconditionFailed")
  await refuses(run({ ifNoneMatch: ["*"] }), "preconditionFailed")
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(removeLatest({ bucketId, key: KEY, random: randomOf(9), conditions: {} }))
  await refuses(metadata.run(setAttributes(addressIn(scene), to())), "noSuchKey", { deleteMarker: true })
  await metadata.run(setAttributes({ ...addressIn(scene), versionId: NULL_VERSION }, to()))
})

test("an object that was there at a time is found for that time, though its attributes changed later", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setUndelete({ bucketId, days: 7 }))
  const { head } = await metadata.run(putVersion(putOf(scene, 1)))
  const writtenMs = writtenMsOf(head)
  metadata.aheadMs += 60_000
  await metadata.run(setAttributes(addressIn(scene), to()))
  const bucket = must(await metadata.ask(bucketNamed(parseBucketName("bucket"))), "the bucket")
  const page = await metadata.ask(pageOfVersions({ ...SCOPE, bucket, keyMarker: "", versionIdMarker: undefined }))
  const [entry] = page.entries
  assert.ok(entry?.kind === "version")
  assert.equal(entry.writtenMs, writtenMs)
  assert.ok(entry.object.lastModifiedMs >= writtenMs + 60_000)
  metadata.aheadMs += 60_000
  await metadata.run(removeLatest({ bucketId, key: KEY, random: randomOf(9), conditions: {} }))
  const found = await metadata.ask(findDeleted(bucketId, KEY, writtenMs + 30_000, undefined))
  assert.notEqual(found.rowKey, undefined)
})

const SCOPE = { prefix: "", delimiter: "", max: 10 } as const

test("a listing shows content types if they are requested, wherever they are stored", async () => {
  const scene = await newBucket()
  const { metadata } = scene
  const bucket = must(await metadata.ask(bucketNamed(parseBucketName("bucket"))), "the bucket")
  const typesOf = async (withTypes: boolean) => {
    const { page, extras } = await metadata.ask(pageOfObjects({ ...SCOPE, bucket, after: "", withTypes }))
    return pageOf(page, extras).entries.map(entry => entry.kind === "object" && entry.object.contentType)
  }
  await metadata.run(putVersion(putOf(scene, 1)))
  assert.deepEqual(await typesOf(true), [undefined])
  await metadata.run(putVersion(putOf(scene, 2, { details: DETAILS })))
  assert.deepEqual(await typesOf(true), ["text/plain"])
  assert.deepEqual(await typesOf(false), [undefined])
  const large = [["k", "x".repeat(DETAILS_IN_RECORD_BYTES_MAX)]] as const
  await metadata.run(putVersion(putOf(scene, 3, { details: { ...DETAILS, userMetadata: large } })))
  assert.deepEqual(await typesOf(true), ["text/plain"])
})
