/** A failed removal leaves its bucket unchanged; settings are deleted with their bucket. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import {
  BUCKET_SECRET,
  bucketKeyRowKey,
  encodeBucketKey,
  type BucketKey,
} from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOf, RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { BucketService, bucketRecords, bucketsWithSetting } from "./bucket-service.js"
import { bucketErasures } from "../commands/erase-commands-core.js"
import { bucketsWithChanges } from "../queries/changes-page-core.js"
import { createUpload } from "../commands/multipart-commands-core.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import "../testing-features.js"

const name = parseBucketName("bucket")
const owner = parseAccountId("root")

/** Metadata in memory; commands with names in `full` fail for lack of space. */
function metadataWithLimits(full: ReadonlySet<string>): MemoryMetadata {
  const metadata = new MemoryMetadata()
  metadata.before = command => {
    if (full.has(command)) throw fail("deviceFull")
  }
  return metadata
}

test("what background jobs ask about all buckets reads their rows once, until a bucket changes", async () => {
  const tablet = new MemoryMetadata()
  const buckets = new BucketService(tablet)
  const ask = async () => {
    tablet.rowsRead.clear()
    const records = await tablet.ask(bucketRecords())
    await tablet.ask(bucketErasures())
    await tablet.ask(bucketsWithChanges())
    await tablet.ask(bucketsWithSetting("lifecycle"))
    await buckets.readPolicies()
    const rows = [...tablet.rowsRead.values()].reduce((sum, each) => sum + each, 0)
    return { names: records.map(each => each.name), rows }
  }
  await buckets.create({ name, owner, location: "" })
  assert.deepEqual(await ask(), { names: [name], rows: 1 })
  const other = parseBucketName("other")
  await buckets.create({ name: other, owner, location: "" })
  assert.deepEqual(await ask(), { names: [name, other], rows: 2 })
  assert.deepEqual(await ask(), { names: [name, other], rows: 0 })
})

test("a bucket whose removal failed on a full disk is open again once there is space", async () => {
  const full = new Set<string>()
  const tablet = metadataWithLimits(full)
  const buckets = new BucketService(tablet)
  const bucket = await buckets.create({ name, owner, location: "" })
  full.add("DropBucket").add("OpenBucket")
  await assert.rejects(buckets.remove(bucket), error => isFailure(error, "deviceFull"))
  await buckets.open(name)
  await assert.rejects(buckets.setVersioning(bucket, "enabled"), error => isFailure(error, "bucketClosing"))
  full.clear()
  await buckets.open(name)
  await buckets.setVersioning(bucket, "enabled")
  await buckets.remove(bucket)
  await assert.rejects(
    async () => buckets.open(name),
    error => isFailure(error, "noSuchBucket"),
  )
})

test("a bucket is removed although another process that starts meanwhile reopens it", async () => {
  const tablet = metadataWithLimits(new Set())
  const buckets = new BucketService(tablet)
  const other = new BucketService(tablet)
  const bucket = await buckets.create({ name, owner, location: "" })
  let starts = 0
  tablet.before = async command => {
    if (command !== "DropBucket" || starts > 1) return
    starts += 1
    await other.start()
  }
  await buckets.remove(bucket)
  assert.equal(starts, 2)
  await assert.rejects(
    async () => other.open(name),
    error => isFailure(error, "noSuchBucket"),
  )
})

test("a bucket is removed with an upload that a rename has left, which no list shows", async () => {
  const tablet = metadataWithLimits(new Set())
  const buckets = new BucketService(tablet)
  const bucket = await buckets.create({ name, owner, location: "" })
  const multipartId = multipartIdOf(7, new Uint8Array(RANDOM_BYTES))
  const upload = { checksum: undefined, details: NO_DETAILS, completion: undefined, renamedBy: 1 }
  await tablet.run(createUpload({ bucketId: bucket.id, key: objectKeyOfText("to"), multipartId }, upload))
  await buckets.remove(bucket)
  assert.equal(tablet.rows("uploads"), 0)
})

const rowsOf = (metadata: MemoryMetadata): number => metadata.rows("settings")

test("settings are stored document by document, and the bucket lists those that it has", async () => {
  const tablet = metadataWithLimits(new Set())
  const buckets = new BucketService(tablet)
  const made = await buckets.create({ name, owner, location: "", settings: new Map([["tagging", "<Tagging/>"]]) })
  assert.deepEqual(made.settings, ["tagging"])
  await buckets.setSetting(made, "cors", "<A/>")
  await buckets.setSetting(made, "publicAccessBlock", "")
  await buckets.setSetting(made, "cors", "<B/>")
  await buckets.setSetting(made, "tagging", undefined)
  const bucket = await buckets.open(name)
  assert.deepEqual(bucket.settings, ["cors", "publicAccessBlock"])
  assert.ok(bucket.settingsVersion > made.settingsVersion)
  assert.equal((await buckets.setting(bucket, "cors"))?.document, "<B/>")
  assert.equal((await buckets.setting(bucket, "publicAccessBlock"))?.document, "")
  assert.equal(await buckets.setting(bucket, "tagging"), undefined)
  assert.equal(await buckets.setting(bucket, "policy"), undefined)
  await buckets.setSetting(bucket, "policy", undefined)
  assert.equal((await buckets.open(name)).settingsVersion, bucket.settingsVersion, "there was nothing to remove")
  assert.equal(rowsOf(tablet), 2)
})

test("a change of a setting begins again if another request has changed it meanwhile", async () => {
  const buckets = new BucketService(metadataWithLimits(new Set()))
  const bucket = await buckets.create({ name, owner, location: "", settings: new Map([["cors", "a"]]) })
  const seen: (string | undefined)[] = []
  const others: Promise<void>[] = []
  await buckets.changeSetting(bucket, "cors", former => {
    seen.push(former)
    if (seen.length <= 2) others.push(buckets.setSetting(bucket, "cors", seen.length === 1 ? "b" : undefined))
    return `${former} changed`
  })
  await Promise.all(others)
  assert.deepEqual(seen, ["a", "b", undefined])
  assert.equal((await buckets.setting(await buckets.open(name), "cors"))?.document, "undefined changed")
  const restless = buckets.changeSetting(bucket, "cors", former => {
    others.push(buckets.setSetting(bucket, "cors", `${former}!`))
    return "never"
  })
  await assert.rejects(restless, error => isFailure(error, "conflict"))
  await Promise.all(others)
})

const DAYS = 1_200

/** A bucket with its secret and a bucket key for each day. */
async function bucketWithKeys(metadata: MemoryMetadata) {
  const bucket = await new BucketService(metadata).create({ name, owner, location: "" })
  const sealed = new Uint8Array(60)
  const plant = (number: number, key: BucketKey) =>
    metadata.plant("bucketKeys", bucketKeyRowKey(bucket.id, number), encodeBucketKey(key))
  plant(BUCKET_SECRET, { kind: "secret", createdMs: 1, epoch: 1, sealed })
  for (let day = 1; day <= DAYS; day += 1)
    plant(BUCKET_SECRET + day, { kind: "dataKey", createdMs: day, keyArn: "arn:a", ciphertext: sealed, context: "{}" })
  return bucket
}

test("a bucket that was used for years with a named key is removed with all its keys", async () => {
  const metadata = metadataWithLimits(new Set())
  const buckets = new BucketService(metadata)
  await buckets.remove(await bucketWithKeys(metadata))
  assert.equal(metadata.rows("buckets"), 1, "the row of the last id")
  assert.equal(metadata.rows("bucketKeys"), 0)
})

test("a start removes the keys of a bucket whose removal was interrupted, and no others", async () => {
  const full = new Set(["DropBucketKeys"])
  const metadata = metadataWithLimits(full)
  const buckets = new BucketService(metadata)
  await buckets.remove(await bucketWithKeys(metadata))
  assert.ok(metadata.rows("bucketKeys") > 0)
  full.clear()
  const kept = await bucketWithKeys(metadata)
  await buckets.start()
  assert.equal(metadata.rows("bucketKeys"), 1 + DAYS)
  metadata.lose("buckets", bucketRowKey(kept.id))
  await buckets.start()
  assert.equal(metadata.rows("bucketKeys"), 1 + DAYS, "whose own row was lost")
})

test("settings are deleted with their bucket, a closing bucket accepts none, and their length is limited", async () => {
  const full = new Set<string>()
  const tablet = metadataWithLimits(full)
  const buckets = new BucketService(tablet)
  const bucket = await buckets.create({ name, owner, location: "" })
  await buckets.setSetting(bucket, "policy", "x".repeat(SETTING_BYTES_MAX))
  const tooLong = "é".repeat(SETTING_BYTES_MAX / 2) + "x"
  await assert.rejects(buckets.setSetting(bucket, "cors", tooLong), error => isFailure(error, "entityTooLarge"))
  full.add("DropBucket").add("OpenBucket")
  await assert.rejects(buckets.remove(bucket), error => isFailure(error, "deviceFull"))
  await assert.rejects(buckets.setSetting(bucket, "cors", "<A/>"), error => isFailure(error, "bucketClosing"))
  full.clear()
  await buckets.remove(await buckets.open(name))
  assert.equal(rowsOf(tablet), 0)
  const next = await buckets.create({ name, owner, location: "" })
  assert.deepEqual(next.settings, [], "a new bucket of the same name has none")
})
