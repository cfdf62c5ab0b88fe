/** Tests of what undelete keeps in a rescue: it was deleted, so no object comes back from it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseBucketId, parsePosition, parseUploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { deletedRowKey, encodeDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import { decisionIdOf, objectRowKey } from "@hayloft/engine/format/row-key.js"
import type { VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { noSignal, sourceOf } from "../testing-engine.js"
import { knownKeyOf } from "./key-rows-core.js"
import { DoomedStore } from "./testing-rescue.js"

const wait = <T>(store: DoomedStore, work: Promise<T>): Promise<T> => store.machine.clock.runUntil(work)

const put = (store: DoomedStore, bucket: Bucket, key: string, sizeBytes: number) =>
  wait(
    store,
    store.services.objects.put({
      bucket,
      key: objectKeyOfText(key),
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      conditions: {},
      body: sourceOf(store.bytes(sizeBytes)),
      signal: noSignal,
    }),
  )

test("kept versions are no objects of the rescued store, and the objects that replaced them are", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("photos")
  await wait(store, store.services.undelete.setUndelete(bucket.id, 3))
  for (const key of ["deleted", "small"]) {
    await put(store, bucket, key, key === "small" ? 100 : 200 * KIB)
    await wait(store, store.services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} }))
  }
  await put(store, bucket, "replaced", 200 * KIB)
  await put(store, bucket, "replaced", 100 * KIB)
  await store.backUp()
  const { target, entries } = await store.rescue([1, 2, 3, 4])
  assert.equal(target.latest("photos", "deleted"), undefined)
  assert.equal(target.latest("photos", "small"), undefined)
  assert.equal(target.latest("photos", "replaced")?.bytes.length, 100 * KIB)
  assert.deepEqual(target.undelete, [["photos", 3, 1]], "once everything is written")
  const told = entries.filter(({ kind }) => kind === "undelete")
  assert.deepEqual(
    told.map(({ list, name, isWritten }) => `${list} ${name} ${isWritten}`),
    ["certain photos true"],
  )
})

test("undelete that was ended before the snapshot does not come back", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("photos")
  await wait(store, store.services.undelete.setUndelete(bucket.id, 3))
  await put(store, bucket, "a", 100)
  await wait(store, store.services.buckets.setVersioning(bucket, "enabled"))
  await store.backUp()
  const { target } = await store.rescue([1, 2, 3, 4])
  assert.equal(target.buckets.get("photos")?.versioning, "enabled")
  assert.deepEqual(target.undelete, [])
})

test("the upload of a kept version counts as referenced, so that it is not taken for one that is newer than the rows", () => {
  const uploadId = parseUploadId(`00000001${"7".padStart(24, "0")}`)
  const row = objectRowKey(parseBucketId(1), objectKeyOfText("key"))
  const extent = { uploadId, part: 0, lengthBytes: 100, blockBytes: 4096, policy: parsePolicy("replica:2") }
  const head: VersionHead = {
    isMarker: false,
    isNull: true,
    hasDetails: false,
    isShared: false,
    isLocked: false,
    storageClass: "STANDARD",
    checksumAlgorithm: undefined,
    checksumType: undefined,
    sizeBytes: 100,
    modifiedMs: 5,
    order: 5_000,
    random: new Uint8Array(8),
    md5: new Uint8Array(16),
    parts: 0,
  }
  const content = { kind: "extent", extent: { ...extent, generation: 0, exceptions: [] } } as const
  const record = { head, content, checksumValue: undefined, details: undefined }
  const value = encodeDeletedVersion({ deletedMs: 6, untilMs: 7, reason: "deleted", record })
  const key = deletedRowKey(row, head.order, decisionIdOf(parsePosition(9)))
  const known = knownKeyOf(row, [{ family: "deleted", key, value, payload: undefined }])
  assert.deepEqual([[...known.named], known.versions], [[uploadId], []])
})
