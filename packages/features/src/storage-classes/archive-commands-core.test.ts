/** Restores of archived versions: who can be restored, for how long, and by which clock a restore ends. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parsePosition } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { decisionIdOf, objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion, versionIdOfHead, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { Command } from "@hayloft/engine/metadata/index.js"
import { daysUntil, readableUntil, requireReadable, restoreArchived, restoredUntil } from "./archive-commands-core.js"
import { setBucketLock, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { KEY, newBucket, putOf, type Scene } from "@hayloft/objects/commands/testing-bucket.js"
import { putVersion, removeLatest } from "@hayloft/objects/commands/version-commands-core.js"
import "@hayloft/objects/testing-features.js"

const DAY = 86_400_000
/** Half past ten. */
const NOW = 20_000 * DAY + 37_800_000
const LOCK = { retention: { mode: "COMPLIANCE", untilMs: NOW + 900 * DAY }, legalHold: true } as const

async function world(storageClass: StorageClass = "GLACIER") {
  const scene = await newBucket()
  const { metadata, bucketId } = scene
  await metadata.run(setVersioning(bucketId, "enabled"))
  await metadata.run(setBucketLock(bucketId, undefined))
  const { head } = await metadata.run(putVersion(putOf(scene, 1, { storageClass, lock: LOCK })))
  return { ...scene, versionId: versionIdOfHead(head) }
}

type Request = Partial<Parameters<typeof restoreArchived>[0]>

let position = 1000
function decide<Result>({ metadata }: Scene, command: Command<Result>, nowMs: number): Result {
  position += 1
  const at = parsePosition(position)
  return metadata.runAt(command, {
    nowMs,
    commitUs: nowMs * 1000,
    position: at,
    id: decisionIdOf(at),
    incarnations: metadata.incarnations,
  })
}

const restore = (scene: Scene, request: Request = {}, nowMs = NOW): boolean => {
  const { bucketId } = scene
  const usual = { bucketId, key: KEY, versionId: undefined, days: 1, tier: "Standard", clockMs: nowMs } as const
  return decide(scene, restoreArchived({ ...usual, ...request }), nowMs).wasRestored
}

const recordOf = ({ metadata, bucketId }: Scene): VersionRecord =>
  decodeVersion(metadata.committed.get("current", objectRowKey(bucketId, KEY))?.value ?? new Uint8Array(0))

const MAPPED = { policyOf: () => parsePolicy("replica:2") }
const UNMAPPED = { policyOf: () => undefined }

const isReadable = (record: VersionRecord, nowMs: number): boolean => {
  try {
    requireReadable(record, () => nowMs, MAPPED)
    return true
  } catch (error) {
    assert.ok(isFailure(error, "invalidObjectState"))
    assert.equal(error.details["storageClass"], record.head.storageClass)
    return false
  }
}

// "Amazon S3 calculates the expiry time by adding the number of days specified in the restoration request to the current
// time and rounding the resulting time to the next day at midnight UTC."
test("a restored version can be read until the midnight after its days", async () => {
  const scene = await world()
  assert.equal(isReadable(recordOf(scene), NOW), false)
  assert.equal(restore(scene, { days: 2 }), false)
  const endMs = 20_003 * DAY
  assert.equal(restoredUntil(recordOf(scene).restore, NOW), endMs)
  assert.deepEqual([isReadable(recordOf(scene), endMs - 1), isReadable(recordOf(scene), endMs)], [true, false])
})

test("a restore that is made again for the days that are left of it ends when it would have ended", async () => {
  for (const laterMs of [0, DAY - 1, DAY, 2 * DAY]) {
    const [first, again] = [await world(), await world()]
    restore(first, { days: 3 })
    const endMs = restoredUntil(recordOf(first).restore, NOW)
    assert.ok(endMs !== undefined)
    restore(again, { days: daysUntil(endMs, NOW + laterMs) }, NOW + laterMs)
    assert.equal(recordOf(again).restore?.untilMs, endMs, `${laterMs} ms later`)
  }
  assert.equal(daysUntil(20_003 * DAY, 20_003 * DAY) < 0, true, "it is over")
})

// "After restoring an archived object, you can update the restoration period by reissuing the request with a new period.
// Amazon S3 updates the restoration period relative to the current time."
test("a restore is prolonged and cut by another, and begins anew once it is over", async () => {
  const scene = await world()
  restore(scene, { days: 9 })
  assert.equal(restore(scene, { days: 1, tier: "Bulk" }, NOW + DAY), true)
  assert.deepEqual(recordOf(scene).restore, { requestedMs: NOW + DAY, untilMs: 20_003 * DAY, tier: "Bulk" })
  assert.equal(restore(scene, {}, 20_003 * DAY), false)
})

test("a restore keeps the version as it is: its class, its lock and its id", async () => {
  const scene = await world()
  const before = recordOf(scene)
  restore(scene, { versionId: scene.versionId })
  const { restore: restored, ...after } = recordOf(scene)
  assert.deepEqual(after, before)
  assert.ok(restored !== undefined && after.lock?.legalHold === true)
})

test("a clock that is behind or ahead makes a restore longer, never shorter", async () => {
  const [behind, ahead] = [await world(), await world()]
  restore(behind, { clockMs: NOW - 500 * DAY })
  restore(ahead, { clockMs: NOW + 5 * DAY })
  assert.equal(restoredUntil(recordOf(behind).restore, NOW), 20_002 * DAY)
  assert.equal(restoredUntil(recordOf(ahead).restore, NOW), 20_007 * DAY)
})

// "The operation is not valid for the current state of the object": only archives need a restore.
test("versions of other classes can be read, and cannot be restored", async () => {
  for (const storageClass of STORAGE_CLASSES) {
    const scene = await world(storageClass)
    const isArchived = storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE"
    assert.equal(isReadable(recordOf(scene), NOW), !isArchived, storageClass)
    if (isArchived) continue
    assert.throws(
      () => restore(scene),
      error => isFailure(error, "invalidObjectState") && error.details["storageClass"] === storageClass,
    )
  }
})

// "Expedited … available for … S3 Glacier Flexible Retrieval"; DEEP_ARCHIVE has "Standard" and "Bulk".
test("DEEP_ARCHIVE has no expedited restore", async () => {
  const scene = await world("DEEP_ARCHIVE")
  assert.throws(
    () => restore(scene, { tier: "Expedited" }),
    error => isFailure(error, "invalidArgument"),
  )
  assert.equal(restore(scene, { tier: "Bulk" }), false)
  assert.equal(restore(await world(), { tier: "Expedited" }), false)
})

test("a key that is absent, or whose latest version is a delete marker, has nothing to restore", async () => {
  const scene = await world()
  decide(scene, removeLatest({ bucketId: scene.bucketId, key: KEY, conditions: {}, random: new Uint8Array(8) }), NOW)
  assert.throws(
    () => restore(scene),
    error => isFailure(error, "noSuchKey"),
  )
  assert.equal(restore(scene, { versionId: scene.versionId }), false)
})

test("a class without a redundancy of its own is a name: its versions are read at once, and shown as restored without an end", async () => {
  for (const storageClass of STORAGE_CLASSES) {
    const { head, restore: none } = recordOf(await world(storageClass))
    requireReadable({ head }, () => NOW, UNMAPPED)
    const isArchived = storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE"
    const untilMs = readableUntil(storageClass, none, () => NOW, UNMAPPED)
    assert.equal(untilMs, isArchived ? Date.UTC(9999, 11, 31) : undefined, storageClass)
    assert.equal(
      readableUntil(storageClass, none, () => NOW, MAPPED),
      undefined,
      storageClass,
    )
  }
})
