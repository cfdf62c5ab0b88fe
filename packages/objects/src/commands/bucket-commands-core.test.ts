/** Buckets, command by command: names, settings, and a removal that is safe against concurrent writes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseAccountId, parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import { SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { bucketKeyRowKey, encodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { accountBucketRowKey, bucketRowKey, settingRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeSetting } from "@hayloft/engine/format/records.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import {
  closeBucket,
  createBucket,
  dropBucket,
  findBucket,
  openBucket,
  policyOfBucket,
  setBucketPolicy,
  setSetting,
  setVersioning,
} from "./bucket-commands-core.js"
import { abortUpload, createUpload } from "./multipart-commands-core.js"
import { KEY, newBucket, putOf, randomOf, refuses } from "./testing-bucket.js"
import { putVersion, removeLatest } from "./version-commands-core.js"
import { multipartIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import "../testing-features.js"

const name = parseBucketName("bucket")
const [owner, other] = [parseAccountId("root"), parseAccountId("other")]

test("every bucket gets its own id, and ids are never reused", async () => {
  const metadata = new MemoryMetadata()
  const create = (text: string) => metadata.run(createBucket({ name: parseBucketName(text), owner, location: "here" }))
  assert.equal((await create("first")).id, 1)
  const second = await create("second")
  assert.deepEqual(second, {
    id: 2,
    name: parseBucketName("second"),
    owner,
    location: "here",
    settings: [],
    settingsVersion: 1,
    createdMs: second.createdMs,
    versioning: "never",
    state: "open",
  })
  assert.ok(second.createdMs >= 1_700_000_000_000)
  await metadata.run(closeBucket(second.id))
  await metadata.run(dropBucket(second.id))
  assert.equal((await create("second")).id, 3)
})

test("a name is taken once, and its owner learns that it is their own", async () => {
  const { metadata } = await newBucket()
  await refuses(metadata.run(createBucket({ name, owner, location: "" })), "bucketOwnedByYou")
  await refuses(metadata.run(createBucket({ name, owner: other, location: "" })), "bucketExists")
})

test("a bucket is found by its name while it exists, and listed among its owner's", async () => {
  const { metadata, bucketId } = await newBucket()
  assert.equal(findBucket(metadata.committed, name)?.id, bucketId)
  assert.equal(findBucket(metadata.committed, parseBucketName("unknown")), undefined)
  assert.ok(metadata.committed.get("accountBuckets", accountBucketRowKey(owner, name)))
  metadata.plant(
    "bucketKeys",
    bucketKeyRowKey(bucketId, 1),
    encodeBucketKey({ kind: "secret", createdMs: 1, epoch: 1, sealed: new Uint8Array(60) }),
  )
  metadata.plant(
    "bucketKeys",
    bucketKeyRowKey(bucketId, 9),
    encodeBucketKey({ kind: "secret", createdMs: 2, epoch: 1, sealed: new Uint8Array(60) }),
  )
  await metadata.run(closeBucket(bucketId))
  assert.equal(findBucket(metadata.committed, name)?.state, "closing")
  await metadata.run(dropBucket(bucketId))
  assert.equal(findBucket(metadata.committed, name), undefined)
  for (const family of ["names", "accountBuckets", "counters", "settings", "bucketKeys"] as const)
    assert.equal(metadata.rows(family), 0, family)
})

const document = ({ metadata, bucketId }: Awaited<ReturnType<typeof newBucket>>, setting: "cors" | "policy") => {
  const row = metadata.committed.get("settings", settingRowKey(bucketId, setting))
  return row && decodeSetting(row.value).document
}

test("settings given at creation exist, and are deleted with the bucket", async () => {
  const metadata = new MemoryMetadata()
  const settings = new Map([["cors", "<A/>"] as const, ["policy", "{}"] as const])
  const { id, settings: names } = await metadata.run(createBucket({ name, owner, location: "", settings }))
  assert.deepEqual(names, ["policy", "cors"])
  assert.equal(metadata.rows("settings"), 2)
  await metadata.run(closeBucket(id))
  await metadata.run(dropBucket(id))
  assert.equal(metadata.rows("settings"), 0)
})

test("a setting is put, replaced and removed, and readers see that the bucket changed", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  const current = () => must(findBucket(metadata.committed, name), "the bucket exists")
  await metadata.run(setSetting(bucketId, "cors", "<A/>"))
  assert.deepEqual([current().settings, current().settingsVersion], [["cors"], 2])
  await metadata.run(setSetting(bucketId, "policy", "{}"))
  await metadata.run(setSetting(bucketId, "cors", "<B/>"))
  assert.deepEqual([current().settings, current().settingsVersion], [["policy", "cors"], 4])
  assert.deepEqual([document(scene, "cors"), document(scene, "policy")], ["<B/>", "{}"])
  await metadata.run(setSetting(bucketId, "cors", undefined))
  assert.deepEqual([current().settings, current().settingsVersion], [["policy"], 5])
  assert.equal(document(scene, "cors"), undefined)
  const { position } = metadata
  await metadata.run(setSetting(bucketId, "cors", undefined))
  assert.equal(metadata.position, position, "there was nothing to remove")
})

test("a setting has a largest size, in bytes", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setSetting(bucketId, "cors", "x".repeat(SETTING_BYTES_MAX)))
  const larger = "x".repeat(SETTING_BYTES_MAX - 1) + "é"
  await refuses(metadata.run(setSetting(bucketId, "cors", larger)), "entityTooLarge", {
    sizeBytes: SETTING_BYTES_MAX + 1,
    maxSizeAllowedBytes: SETTING_BYTES_MAX,
  })
})

test("a full store still lets permissions be withdrawn, but not added", () => {
  const id = parseBucketId(1)
  assert.equal(setSetting(id, "policy", "{}").grows, true)
  assert.equal(setSetting(id, "policy", "").grows, false)
  assert.equal(setSetting(id, "policy", undefined).grows, false)
  assert.equal(setSetting(id, "policy", "{}", { document: "{ }" }).grows, false)
  assert.equal(setSetting(id, "policy", "{ }", { document: "{}" }).grows, true)
  for (const command of [setVersioning(id, "enabled"), setBucketPolicy(id, undefined), closeBucket(id), openBucket(id)])
    assert.equal(command.grows, false, command.name)
  assert.equal(dropBucket(id).grows, false)
  assert.equal(createBucket({ name, owner, location: "" }).grows, true)
})

test("versioning and the policy of a bucket change its record, and readers see that it changed", async () => {
  const { metadata, bucketId } = await newBucket()
  const current = () => must(findBucket(metadata.committed, name), "the bucket exists")
  await metadata.run(setVersioning(bucketId, "suspended"))
  assert.deepEqual([current().versioning, current().settingsVersion], ["suspended", 2])
  assert.equal(policyOfBucket(metadata.committed, bucketId), undefined)
  await metadata.run(setBucketPolicy(bucketId, parsePolicy("replica:3")))
  assert.deepEqual(policyOfBucket(metadata.committed, bucketId), parsePolicy("replica:3"))
  assert.deepEqual([current().versioning, current().settingsVersion], ["suspended", 3])
  await metadata.run(setBucketPolicy(bucketId, undefined))
  assert.equal(policyOfBucket(metadata.committed, bucketId), undefined)
  assert.equal(current().settingsVersion, 4)
  assert.equal(policyOfBucket(metadata.committed, parseBucketId(99)), undefined)
})

test("only a bucket without versions can be closed; it then refuses writes until it is reopened", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(putVersion(putOf(scene, 1)))
  await refuses(metadata.run(closeBucket(bucketId)), "bucketNotEmpty")
  await metadata.run(removeLatest({ bucketId, key: KEY, conditions: {}, random: randomOf(1) }))
  await metadata.run(closeBucket(bucketId))
  await refuses(metadata.run(putVersion(putOf(scene, 2))), "bucketClosing")
  await refuses(metadata.run(setVersioning(bucketId, "enabled")), "bucketClosing")
  await refuses(metadata.run(setSetting(bucketId, "cors", "<A/>")), "bucketClosing")
  await metadata.run(openBucket(bucketId))
  await metadata.run(putVersion(putOf(scene, 2)))
})

test("only a closed bucket with neither versions nor uploads can be dropped", async () => {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await refuses(metadata.run(dropBucket(bucketId)), "bucketNotEmpty")
  const address = { bucketId, key: KEY, multipartId: multipartIdOf(7, randomOf(7)) }
  await metadata.run(createUpload(address, { checksum: undefined, details: NO_DETAILS, completion: undefined }))
  await metadata.run(closeBucket(bucketId))
  await refuses(metadata.run(dropBucket(bucketId)), "bucketNotEmpty")
  await metadata.run(abortUpload(address))
  await metadata.run(dropBucket(bucketId))
  assert.equal(metadata.committed.get("buckets", bucketRowKey(bucketId)), undefined)
  for (const command of [closeBucket(bucketId), openBucket(bucketId), dropBucket(bucketId)])
    await refuses(metadata.run(command), "noSuchBucket")
})
