/** Storage classes in a rescue: an object keeps the one that it had, whether its row or only its shards tell it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseAccountId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { noSignal, sourceOf } from "../testing-engine.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

const ALL = [1, 2, 3, 4]

const put = (store: DoomedStore, bucket: Bucket, key: string, storageClass: StorageClass, sizeBytes: number) =>
  store.machine.clock.runUntil(
    store.services.objects.put({
      bucket,
      key: objectKeyOfText(key),
      attributes: { headers: {}, userMetadata: [] },
      tags: [],
      conditions: {},
      storageClass,
      body: sourceOf(store.bytes(sizeBytes)),
      signal: noSignal,
    }),
  )

async function putParts(store: DoomedStore, bucket: Bucket, name: string, storageClass: StorageClass): Promise<void> {
  const { multipart } = store.services
  const wait = <T>(work: Promise<T>): Promise<T> => store.machine.clock.runUntil(work)
  const key = objectKeyOfText(name)
  const upload = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined, storageClass }
  const { multipartId } = await wait(multipart.create({ bucket, key, ...upload }))
  const target = { bucket, key, multipartId, signal: noSignal }
  const body = sourceOf(store.bytes(5 * MIB))
  const { etag } = await wait(multipart.putPart({ ...target, partNumber: 1, body }))
  const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
  const parts = [{ partNumber: 1, etag, checksum: undefined }]
  await wait(multipart.complete({ ...target, parts, ...nothing }))
}

const classesIn = ({ target }: Rescued, ...keys: readonly string[]): readonly (StorageClass | undefined)[] =>
  keys.map(key => target.latest("cold", key)?.storageClass)

test("the class comes from the row of the snapshot, or from the recovery header of what is newer", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("cold")
  await put(store, bucket, "inline", "GLACIER_IR", 10)
  await put(store, bucket, "large", "STANDARD_IA", 200 * KIB)
  // No rescue refuses an archive class, mapped or not.
  await put(store, bucket, "archive", "GLACIER", 200 * KIB)
  await putParts(store, bucket, "parts", "ONEZONE_IA")
  await store.backUp()
  await put(store, bucket, "late", "DEEP_ARCHIVE", 200 * KIB)
  await put(store, bucket, "late and plain", "STANDARD", 200 * KIB)
  await putParts(store, bucket, "late parts", "INTELLIGENT_TIERING")
  const rescued = await store.rescue(ALL)
  assert.deepEqual(classesIn(rescued, "inline", "large", "archive", "parts"), [
    "GLACIER_IR",
    "STANDARD_IA",
    "GLACIER",
    "ONEZONE_IA",
  ])
  assert.deepEqual(classesIn(rescued, "late", "late and plain", "late parts"), [
    "DEEP_ARCHIVE",
    "STANDARD",
    "INTELLIGENT_TIERING",
  ])
})

test("a recovery header that re-encoding writes tells the class of the version", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("cold")
  await put(store, bucket, "large", "STANDARD_IA", 200 * KIB)
  await putParts(store, bucket, "parts", "STANDARD_IA")
  const change = store.engine.control.change("map", record => ({
    ...record,
    classes: [["STANDARD_IA", parsePolicy("replica:3")]],
    policyVersion: record.policyVersion + 1,
  }))
  await store.machine.clock.runUntil(change)
  for (const job of ["reencode", "collector"]) await store.settle(job)
  await store.machine.clock.advance(1_000)
  const rescued = await store.rescue(ALL)
  assert.deepEqual(classesIn(rescued, "large", "parts"), ["STANDARD_IA", "STANDARD_IA"])
})

test("the map of classes, quotas and restores of archives come back, quotas after everything that they count", async () => {
  const store = await DoomedStore.open(4)
  const wait = <T>(work: Promise<T>): Promise<T> => store.machine.clock.runUntil(work)
  const change = store.engine.control.change("map", record => ({
    ...record,
    classes: [
      ["GLACIER", parsePolicy("replica:3")],
      ["GLACIER_IR", parsePolicy("ec:4+2")],
    ],
    policyVersion: record.policyVersion + 1,
  }))
  await wait(change)
  const bucket = await store.bucket("cold")
  await store.bucket("free")
  await put(store, bucket, "archive", "GLACIER", 200 * KIB)
  await put(store, bucket, "sleeping", "GLACIER", 200 * KIB)
  await wait(store.services.archives.restore({ bucket, key: objectKeyOfText("archive") }, { days: 3, tier: "Bulk" }))
  await wait(store.services.quotas.set({ kind: "bucket", name: bucket.name }, { hardBytes: 7 * MIB, warnObjects: 5 }))
  await store.backUp()
  const { target, entries } = await store.rescue(ALL)
  assert.deepEqual(target.classes, ["GLACIER replica:3"])
  assert.deepEqual(target.quotas, [[{ kind: "bucket", name: "cold" }, { hardBytes: 7 * MIB, warnObjects: 5 }, 2]])
  const told = entries.filter(({ kind }) => kind === "class" || kind === "quota")
  assert.deepEqual(
    told.map(({ list, kind, name, isWritten }) => `${list} ${kind} ${name} ${isWritten}`),
    ["certain class GLACIER true", "incomplete class GLACIER_IR false", "certain quota cold true"],
  )
  const restores = ["archive", "sleeping"].map(key => target.latest("cold", key)?.restore?.tier)
  assert.deepEqual(restores, ["Bulk", undefined])
})

test("the quota of an account comes back, once everything that it counts is written", async () => {
  const store = await DoomedStore.open(4)
  const wait = <T>(work: Promise<T>): Promise<T> => store.machine.clock.runUntil(work)
  const id = parseAccountId("other")
  for (const account of [id, parseAccountId("free")])
    await wait(store.engine.accounts.createAccount({ id: account, displayName: account, email: "" }))
  await put(store, await store.bucket("photos"), "one", "STANDARD", 200 * KIB)
  await wait(store.services.quotas.set({ kind: "account", id }, { hardBytes: 7 * MIB }))
  await store.backUp()
  const { target, entries } = await store.rescue(ALL)
  assert.deepEqual(target.quotas, [[{ kind: "account", id }, { hardBytes: 7 * MIB }, 1]])
  const told = entries.filter(({ kind }) => kind === "quota")
  assert.deepEqual(
    told.map(({ list, name, isWritten }) => [list, name, isWritten]),
    [["certain", id, true]],
  )
})
