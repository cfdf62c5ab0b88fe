/** Object lock in a rescue: what was locked comes back locked, and the operator names its buckets. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseDeviceId, type VersionId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Bucket, BucketLock, VersionLock } from "@hayloft/objects/index.js"
import { noSignal, sourceOf } from "../testing-engine.js"
import { salvageNeedles } from "@hayloft/engine/volume/index.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

const UNTIL_MS = Date.UTC(2200, 0)
const STATED: VersionLock = { retention: { mode: "COMPLIANCE", untilMs: UNTIL_MS }, legalHold: undefined }
const DAY_MS = 86_400_000
const ALL = [1, 2, 3, 4]

class LockedStore {
  private constructor(readonly store: DoomedStore) {}

  static async open(): Promise<LockedStore> {
    return new LockedStore(await DoomedStore.open(4))
  }

  private get services() {
    return this.store.services
  }

  wait<T>(work: Promise<T>): Promise<T> {
    return this.store.machine.clock.runUntil(work)
  }

  async bucket(name: string, defaultRetention?: BucketLock["defaultRetention"]): Promise<Bucket> {
    const { buckets } = this.services
    const owner = parseAccountId("root")
    const made = await this.wait(buckets.create({ name: parseBucketName(name), owner, location: "", hasLock: true }))
    if (defaultRetention) await this.wait(buckets.setLock(made, defaultRetention))
    return this.wait(Promise.resolve(buckets.open(made.name)))
  }

  async put(bucket: Bucket, key: string, lock?: VersionLock, sizeBytes = 70 * KIB): Promise<VersionId | undefined> {
    const attributes = { headers: { contentType: "text/plain" }, userMetadata: [] }
    const put = { bucket, key: objectKeyOfText(key), conditions: {}, attributes, tags: [], signal: noSignal, lock }
    const body = sourceOf(this.store.bytes(sizeBytes))
    return (await this.wait(this.services.objects.put({ ...put, body }))).versionId
  }
}

const lockIn = ({ target }: Rescued, bucket: string, key: string): VersionLock | undefined =>
  (target.latest(bucket, key) ?? assert.fail(`${bucket}/${key} is there`)).lock

test("locks of the snapshot come back as they were last, and those without a row as their headers tell", async () => {
  const locked = await LockedStore.open()
  const { store } = locked
  const bucket = await locked.bucket("backups", { mode: "GOVERNANCE", unit: "days", count: 10 })
  await locked.put(bucket, "stated", STATED)
  await locked.put(bucket, "held")
  const { objects } = store.services
  const held = { bucket, key: objectKeyOfText("held") }
  await locked.wait(objects.setLegalHold(held, true))
  await store.backUp()
  await locked.put(bucket, "late, stated", STATED)
  await locked.put(bucket, "late, by default")
  const nowMs = store.machine.clock.wallMs()
  const rescued = await store.rescue(ALL, { lockedBuckets: ["backups"] })
  assert.deepEqual(rescued.summary.lockedBuckets, ["backups"])
  assert.deepEqual(rescued.target.buckets.get("backups")?.lock, bucket.lock)
  assert.deepEqual(lockIn(rescued, "backups", "stated"), STATED)
  assert.equal(lockIn(rescued, "backups", "held")?.legalHold, true)
  assert.deepEqual(lockIn(rescued, "backups", "late, stated"), STATED)
  const { mode, untilMs = 0 } = lockIn(rescued, "backups", "late, by default")?.retention ?? {}
  assert.deepEqual([mode, untilMs >= nowMs + 10 * DAY_MS, untilMs < nowMs + 11 * DAY_MS], ["GOVERNANCE", true, true])
})

test("a bucket that only needles attest has object lock if one of them tells of a lock, and keeps all its versions", async () => {
  const locked = await LockedStore.open()
  const { store } = locked
  const bucket = await locked.bucket("backups")
  await locked.put(bucket, "key", STATED)
  await locked.put(bucket, "key")
  const { target } = await store.rescue(ALL, { lockedBuckets: ["backups"] })
  const plan = target.buckets.get("backups")
  assert.deepEqual([plan?.versioning, plan?.lock], ["enabled", { defaultRetention: undefined }])
  const versions = target.keys.get(`backups/${objectKeyOfText("key")}`)?.map(({ lock, isNull }) => ({ lock, isNull }))
  assert.deepEqual(versions, [
    { lock: STATED, isNull: false },
    { lock: undefined, isNull: false },
  ])
})

test("object lock that is newer than the snapshot is found in needles, also if they are read in passes", async () => {
  const locked = await LockedStore.open()
  const { store } = locked
  const plain = await store.bucket("plain")
  await store.put(plain, "before", store.bytes(70 * KIB))
  await store.backUp()
  const { buckets } = store.services
  await locked.wait(buckets.setVersioning(plain, "enabled"))
  await locked.wait(buckets.setLock(plain, undefined))
  const bucket = await locked.wait(Promise.resolve(buckets.open(plain.name)))
  await locked.put(bucket, "after", STATED)
  for (const needlesMax of [2_000_000, 8]) {
    const rescued = await store.rescue(ALL, { lockedBuckets: ["plain"], needlesMax })
    assert.ok(rescued.summary.passes > (needlesMax === 8 ? 1 : 0))
    assert.deepEqual(rescued.target.buckets.get("plain")?.lock, { defaultRetention: undefined })
    assert.deepEqual(lockIn(rescued, "plain", "after"), STATED)
    assert.equal(lockIn(rescued, "plain", "before"), undefined)
  }
})

test("nothing is written until all buckets with object lock are named, and a dry run lists them", async () => {
  const locked = await LockedStore.open()
  const { store } = locked
  await locked.put(await locked.bucket("ledger"), "key", STATED)
  await locked.put(await locked.bucket("backups"), "key", STATED)
  await store.backUp()
  for (const lockedBuckets of [[], ["ledger"], ["other"]]) {
    await assert.rejects(
      store.rescue(ALL, { lockedBuckets }),
      error => isFailure(error, "invalidArgument") && /--locked-buckets backups,ledger/.test(error.message),
    )
  }
  const dry = await store.rescue(ALL, { isDryRun: true })
  assert.deepEqual(dry.summary.lockedBuckets, ["backups", "ledger"])
  const rescued = await store.rescue(ALL, { lockedBuckets: ["backups", "ledger"] })
  assert.ok(rescued.target.isFinished)
})

test("a lock that was changed later comes back from a shard that was rebuilt since", async () => {
  const locked = await LockedStore.open()
  const { store } = locked
  const { objects, repair } = store.services
  const bucket = await locked.bucket("backups")
  await locked.put(bucket, "key", { retention: { mode: "GOVERNANCE", untilMs: UNTIL_MS - 1 }, legalHold: undefined })
  const later = { mode: "COMPLIANCE", untilMs: UNTIL_MS } as const
  await locked.wait(objects.setRetention({ bucket, key: objectKeyOfText("key") }, later, true))
  for await (const item of salvageNeedles(store.machine.disk.boot(), "/d2/volumes")) {
    if (item.kind !== "needle" || item.header.kind !== "shard" || item.header.owner.key !== "key") continue
    const { volume, offsetBytes, headerBytes } = item.place
    store.machine.disk.flipBit(
      `/d2/volumes/${String(volume).padStart(10, "0")}.volume`,
      8 * (offsetBytes + headerBytes + 9),
    )
    repair.noteDamage({ deviceId: parseDeviceId("2".padStart(16, "0")), id: item.header.id })
  }
  await store.settle("repair")
  const rescued = await store.rescue(ALL, { lockedBuckets: ["backups"] })
  assert.deepEqual(lockIn(rescued, "backups", "key"), { retention: later, legalHold: undefined })
})

test("a store without object lock needs no name", async () => {
  const store = await DoomedStore.open(4)
  await store.put(await store.bucket("plain"), "key", store.bytes(70 * KIB))
  const { summary, target } = await store.rescue(ALL)
  assert.deepEqual(["lockedBuckets" in summary, target.isFinished], [false, true])
  assert.equal(target.buckets.get("plain")?.lock, undefined)
})
