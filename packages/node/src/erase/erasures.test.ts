/** Erased buckets over a whole store: what files still tell, what crashes leave, and what an offline device holds up. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketId,
  parseBucketName,
  parseItemKey,
  type BucketId,
} from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { asPromise } from "@hayloft/base/soon.js"
import {
  bucketKeyRowKey,
  decodeBucketKey,
  encodeBucketKey,
  purposeOfSecret,
} from "@hayloft/engine/format/objects/bucket-key.js"
import { decodeBucket, encodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey, prefixRange } from "@hayloft/engine/format/row-key.js"
import { openBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Engine } from "../engine.js"
import { bytesOf, folderOf, Machine, noSignal, sourceOf } from "../testing-engine.js"
import { epochKeysIn, filesBelow, pathsWith } from "./testing-erasure.js"

const OWNER = parseAccountId("root")
const MASTER_KEY = new Uint8Array(32)
const [SMALL, LARGE] = [Buffer.alloc(3 * KIB, "small "), Buffer.alloc(300 * KIB, "large ")]
const ATTRIBUTES = { attributes: { headers: {}, userMetadata: [] }, tags: [], conditions: {} }

const refuses = (promise: Promise<unknown>, kind: FailureKind, message?: RegExp): Promise<void> =>
  assert.rejects(promise, error => isFailure(error, kind) && (message === undefined || message.test(error.message)))

const sealedOf = query("SealedForTest", (view, id: BucketId) => {
  const row = view.get("bucketKeys", bucketKeyRowKey(id, 1))
  return row && decodeBucketKey(row.value)
})

class Scene {
  constructor(
    readonly machine: Machine,
    readonly engine: Engine,
  ) {}

  static async open(devices = 2): Promise<Scene> {
    const machine = new Machine({ devices })
    return new Scene(machine, await machine.open())
  }

  async crash(): Promise<Scene> {
    this.machine.disk.kill()
    return new Scene(this.machine, await this.machine.open())
  }

  bucket(name: string): Promise<Bucket> {
    return this.engine.services.buckets.create({ name: parseBucketName(name), owner: OWNER, location: "" })
  }

  put(bucket: Bucket, name: string, body: Buffer, isSealed = true) {
    const given = { bucket, key: objectKeyOfText(name), ...ATTRIBUTES, body: sourceOf(body), signal: noSignal }
    return this.engine.services.objects.put(isSealed ? { ...given, encryption: { mode: "s3" } } : given)
  }

  async get(bucket: Bucket, name: string): Promise<Buffer> {
    return bytesOf(await this.engine.services.objects.get({ bucket, key: objectKeyOfText(name), conditions: {} }))
  }

  upload(bucket: Bucket, name: string, isSealed = true) {
    const given = { bucket, key: objectKeyOfText(name), ...ATTRIBUTES, checksum: undefined }
    return this.engine.services.multipart.create(isSealed ? { ...given, encryption: { mode: "s3" } } : given)
  }

  begin(name = "doomed"): Promise<BucketId> {
    return this.engine.erasures.begin(parseBucketName(name), name)
  }

  /** A step of the erasure, and of the backup that it may wait for. Returns whether there may be more to do. */
  async step(): Promise<boolean> {
    const outcome = await this.engine.erasures.step()
    const backup = await must(this.engine.services.metadataBackup, "the metadata is backed up").step()
    return outcome === "busy" || backup === "busy"
  }

  async settle(): Promise<void> {
    for (let steps = 0; steps < 1_000; steps += 1) if (!(await this.step())) return
    assert.fail(`the erasure does not come to an end: ${this.engine.erasures.progress()}`)
  }

  async state(id: BucketId): Promise<string> {
    return (await this.engine.erasures.state(id)).state
  }

  /** The secret of the bucket as its row has it. */
  async sealed(id: BucketId) {
    const key = await this.engine.metadata.ask(sealedOf(id))
    return key?.kind === "secret" ? key : undefined
  }

  /**
   * Returns what the files of all devices and the master key reveal of a secret: whether it is in one, and whether a
   * key opens it.
   */
  attack(id: BucketId, sealed: Uint8Array): { readonly isThere: boolean; readonly isOpen: boolean } {
    const files = filesBelow(this.machine.disk.medium, "/")
    const keys = [...epochKeysIn(files, MASTER_KEY).values()]
    const isOpen = keys.some(key => openBytes(key, purposeOfSecret(id, 1), sealed) !== undefined)
    return { isThere: pathsWith(files, sealed).length > 0, isOpen }
  }

  oldestEpochs(): readonly number[] {
    return [...epochKeysIn(filesBelow(this.machine.disk.medium, "/"), MASTER_KEY).keys()].sort()
  }
}

/** Two buckets with encrypted objects. */
async function world(devices?: number) {
  const scene = await Scene.open(devices)
  const [doomed, other] = [await scene.bucket("doomed"), await scene.bucket("other")]
  for (const bucket of [doomed, other]) {
    await scene.put(bucket, "small", SMALL)
    await scene.put(bucket, "large", LARGE)
  }
  const { sealed } = must(await scene.sealed(doomed.id), "it has a secret")
  return { scene, doomed, other, sealed }
}

test("after an erasure no file of any device, with the master key, opens the bucket's secret", async () => {
  const { scene, doomed, other, sealed } = await world()
  assert.deepEqual(scene.attack(doomed.id, sealed), { isThere: true, isOpen: true })
  const id = await scene.begin()
  assert.equal(id, doomed.id)
  await refuses(
    asPromise(() => scene.engine.services.buckets.open(doomed.name)),
    "noSuchBucket",
  )
  await refuses(scene.get(doomed, "small"), "keysUnavailable")
  await refuses(scene.put(doomed, "more", SMALL), "noSuchBucket")
  assert.equal(await scene.state(id), "erasing")
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
  await refuses(scene.state(parseBucketId(1_000)), "noSuchBucket")
  // The row is still in a log: this is why the key has to go.
  assert.deepEqual(scene.attack(doomed.id, sealed), { isThere: true, isOpen: false })
  assert.deepEqual(scene.oldestEpochs(), [2])
  assert.deepEqual(await scene.get(other, "small"), SMALL)
  assert.deepEqual(await scene.get(other, "large"), LARGE)
  const after = await scene.crash()
  assert.deepEqual(await after.get(other, "large"), LARGE)
  const again = await after.bucket("doomed")
  await after.put(again, "small", SMALL)
  assert.deepEqual(await after.get(again, "small"), SMALL)
  assert.equal((await after.engine.services.buckets.usage(again)).versions, 1)
})

/** One of so many steps, the first of which is drawn; a soak has all. */
const STRIDE = Math.ceil(5 / runsOf(1))

test("an erasure goes on after a crash at any of its steps", async () => {
  let crashes = 0
  for (let nth = TEST_SEED % STRIDE; ; nth += STRIDE) {
    const { scene, doomed, other, sealed } = await world()
    await scene.upload(doomed, "upload")
    const id = await scene.begin()
    let isOver = false
    for (let steps = 0; steps < nth && !isOver; steps += 1) isOver = !(await scene.step())
    const after = await scene.crash()
    crashes += 1
    await refuses(after.put(doomed, "more", SMALL), "noSuchBucket")
    assert.deepEqual(await after.get(other, "large"), LARGE, `after ${nth} steps`)
    await after.settle()
    assert.equal(await after.state(id), "erased", `after ${nth} steps`)
    assert.equal(after.attack(doomed.id, sealed).isOpen, false)
    assert.deepEqual(await after.get(other, "small"), SMALL)
    if (isOver) break
  }
  assert.ok(crashes > 4, `${crashes} crashes`)
})

test("a bucket is not erased while something in it is not encrypted, and stays as it is", async () => {
  const { scene, doomed } = await world()
  await scene.put(doomed, "plain", LARGE, false)
  await refuses(scene.begin(), "conflict", /^1 versions, 0 parts and 0 uploads of the bucket are not encrypted/)
  await refuses(scene.engine.erasures.begin(doomed.name, "other"), "invalidArgument", /confirm/)
  await scene.put(doomed, "more", SMALL)
  assert.deepEqual(await scene.get(doomed, "large"), LARGE)
  await scene.engine.services.objects.remove({ bucket: doomed, key: objectKeyOfText("plain"), conditions: {} })
  const id = await scene.begin()
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
})

test("uploads and parts that are not encrypted are counted too, and encrypted ones are not", async () => {
  const { scene, doomed: bucket } = await world()
  const { multipart } = scene.engine.services
  for (const isSealed of [true, false]) {
    const { multipartId } = await scene.upload(bucket, "upload", isSealed)
    const target = { bucket, key: objectKeyOfText("upload"), multipartId }
    for (const partNumber of [1, 2]) {
      await multipart.putPart({ ...target, partNumber, body: sourceOf(LARGE), signal: noSignal })
    }
  }
  await refuses(scene.begin(), "conflict", /^0 versions, 2 parts and 1 uploads of the bucket are not encrypted/)
})

test("buckets with object lock, and those without any key, are not erased", async () => {
  const { scene, doomed } = await world()
  const { buckets } = scene.engine.services
  await buckets.setVersioning(doomed, "enabled")
  await buckets.setLock(doomed, undefined)
  await refuses(scene.begin(), "objectLocked")
  await scene.put(doomed, "more", SMALL)
  await scene.bucket("plain")
  await refuses(scene.begin("plain"), "conflict", /delete it instead/)
})

test("while a bucket is erased, others are written and read, and new ones get keys", async () => {
  const { scene, doomed, other } = await world()
  await scene.begin()
  for (let steps = 0; ; steps += 1) {
    const isOver = !(await scene.step())
    const made = await scene.bucket(`made-${steps}`)
    for (const bucket of [made, other]) {
      await scene.put(bucket, `at ${steps}`, LARGE)
      assert.deepEqual(await scene.get(bucket, `at ${steps}`), LARGE)
    }
    assert.deepEqual(await scene.get(other, "small"), SMALL)
    if (isOver) break
  }
  assert.equal(await scene.state(doomed.id), "erased")
  const after = await scene.crash()
  assert.deepEqual(await after.get(other, "at 0"), LARGE)
})

test("versions, delete markers, uploads and their parts of an erased bucket are removed", async () => {
  const { scene, doomed } = await world()
  const { buckets, objects } = scene.engine.services
  await buckets.setVersioning(doomed, "enabled")
  const bucket = await buckets.open(doomed.name)
  for (let i = 0; i < 40; i += 1) await scene.put(bucket, "often", SMALL)
  await objects.remove({ bucket, key: objectKeyOfText("often"), conditions: {} })
  const { multipartId } = await scene.upload(bucket, "upload")
  const target = { bucket, key: objectKeyOfText("upload"), multipartId }
  await scene.engine.services.multipart.putPart({ ...target, partNumber: 1, body: sourceOf(LARGE), signal: noSignal })
  const { metadata } = scene.engine
  assert.deepEqual(await metadata.ask(familiesOf(doomed.id)), ["current", "versions", "heads", "uploads", "parts"])
  const id = await scene.begin()
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
  // The bytes of parts go with their rows.
  const collector = must(
    scene.engine.services.jobs.find(({ name }) => name === "collector"),
    "it is a job",
  )
  while ((await collector.step(noSignal)) === "busy");
  assert.deepEqual(await metadata.ask(familiesOf(id)), [])
})

test("what undelete keeps of an erased bucket goes with its other rows, and its bytes too", async () => {
  const { scene, doomed } = await world()
  const { undelete, objects } = scene.engine.services
  await undelete.setUndelete(doomed.id, 3)
  await objects.remove({ bucket: doomed, key: objectKeyOfText("large"), conditions: {} })
  await scene.put(doomed, "small", SMALL)
  assert.equal((await undelete.listDeleted(doomed.id, { limit: 10 })).items.length, 2)
  const id = await scene.begin()
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
  assert.deepEqual((await undelete.listDeleted(doomed.id, { limit: 10 })).items, [])
})

test("a bucket is not erased while something that undelete keeps is not encrypted", async () => {
  const { scene, doomed } = await world()
  await scene.engine.services.undelete.setUndelete(doomed.id, 3)
  await scene.put(doomed, "plain", LARGE, false)
  await scene.put(doomed, "plain", LARGE)
  await refuses(scene.begin(), "conflict", /^1 versions/)
  await scene.engine.services.undelete.purgeDeleted(doomed.id, { max: 10 })
  await scene.begin()
})

test("a bucket is not erased while it has values of K2V items; their rows go with it", async () => {
  const { scene, doomed } = await world()
  const { items } = scene.engine.services
  const [partition, sortKey] = [parseItemKey("p"), parseItemKey("a")]
  await items.write(doomed, [{ partition, sortKey, seen: new Map(), bytes: SMALL }])
  await refuses(scene.begin(), "conflict", /^1 values of K2V items of the bucket have no key of their own to erase/)
  await items.remove(doomed, partition, sortKey)
  const id = await scene.begin()
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
  const rows = query("ItemsForTest", view => [...view.range("k2vItems", prefixRange(id, ""))].length)
  assert.equal(await scene.engine.metadata.ask(rows()), 0)
})

/** The families of a bucket's rows that are not empty. */
const familiesOf = query("FamiliesForTest", (view, id: BucketId) => {
  const all = ["current", "versions", "heads", "details", "uploads", "parts", "deleted"] as const
  return all.filter(family => !view.range(family, prefixRange(id, ""))[Symbol.iterator]().next().done)
})

test("a secret that no key opens holds up the keys, and not the removal of rows", async () => {
  const { scene, doomed, other } = await world()
  const { metadata, erasures } = scene.engine
  const secret = must(await scene.sealed(other.id), "it has a secret")
  await metadata.run(plantSecret(other.id, encodeBucketKey({ ...secret, sealed: new Uint8Array(60) })))
  const id = await scene.begin()
  assert.equal(await erasures.step(), "busy")
  await assert.rejects(
    async () => {
      for (let steps = 0; steps < 20; steps += 1) await scene.step()
    },
    error => isFailure(error, "keysUnavailable"),
  )
  const { state, report } = await erasures.state(id)
  assert.deepEqual([state, report?.versions, report?.keysReplaced], ["erasing", 0, false])
  assert.match(erasures.progress(), /^bucket doomed: the former key stays: /)
  assert.deepEqual(await scene.engine.services.buckets.usage(other).then(({ versions }) => versions), 2)
  assert.equal((await metadata.ask(sealedOf(doomed.id)))?.kind, "erased")
})

const plantSecret = command<[id: BucketId, value: Uint8Array], void>({
  name: "PlantSecretForTest",
  grows: false,
  touches: id => [["bucketKeys", bucketKeyRowKey(id, 1)]],
  decide: (_view, _time, id, value) => ({
    writes: [{ family: "bucketKeys", key: bucketKeyRowKey(id, 1), value }],
    result: undefined,
  }),
})

test("a bucket that was deleted is not taken for an erased one", async () => {
  const { scene, doomed } = await world()
  const { buckets, objects } = scene.engine.services
  for (const name of ["small", "large"])
    await objects.remove({ bucket: doomed, key: objectKeyOfText(name), conditions: {} })
  await buckets.remove(doomed)
  await refuses(scene.state(doomed.id), "invalidArgument", /^the bucket was not erased, and is not being erased$/)
  const id = await scene.begin("other")
  await scene.settle()
  const after = await scene.crash()
  assert.equal(await after.state(id), "erased")
  await refuses(after.state(doomed.id), "invalidArgument")
})

test("a process counts the erasures that it has completed", async () => {
  const { scene } = await world()
  const rendered = () => scene.machine.telemetry.metrics.render()
  assert.doesNotMatch(rendered(), /^hayloft_erasures_done_total 1$/m)
  await scene.begin()
  await scene.settle()
  assert.match(rendered(), /^hayloft_erasures_done_total 1$/m)
})

/** A bucket with object lock, whose row has lost that. */
async function lockLost(scene: Scene, doomed: Bucket, lock: (bucket: Bucket) => Promise<void>): Promise<void> {
  const { buckets } = scene.engine.services
  await buckets.setVersioning(doomed, "enabled")
  await buckets.setLock(doomed, undefined)
  const bucket = await buckets.open(doomed.name)
  await lock(bucket)
  await scene.engine.metadata.run(loseLock(bucket.id))
}

test("a retention holds up an erasure until it is over", async () => {
  const { scene, doomed } = await world()
  const { objects, storeClock } = scene.engine.services
  const untilMs = storeClock.nowMs() + 3_600_000
  await lockLost(scene, doomed, bucket =>
    objects.setRetention({ bucket, key: objectKeyOfText("small") }, { mode: "COMPLIANCE", untilMs }, false),
  )
  await refuses(scene.begin(), "objectLocked", /^1 versions of the bucket are locked/)
  await scene.machine.clock.advance(3_600_000)
  const id = await scene.begin()
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
})

test("a bucket that gets object lock once it is closed for its erasure keeps its secret", async () => {
  const { scene, doomed } = await world()
  const { metadata, services } = scene.engine
  const newest = (await services.erasing.epochOf(doomed.id)) + 1
  await services.erasing.close(doomed.id)
  await metadata.run(gainLock(doomed.id))
  await refuses(services.erasing.erase(doomed.id, newest), "objectLocked")
  assert.notEqual(await scene.sealed(doomed.id), undefined)
  await services.erasing.reopen(doomed.id)
  assert.deepEqual(await scene.get(doomed, "small"), SMALL)
})

const gainLock = command<[id: BucketId], void>({
  name: "GainLockForTest",
  grows: false,
  touches: id => [["buckets", bucketRowKey(id)]],
  decide(view, _time, id) {
    const bucket = decodeBucket(must(view.get("buckets", bucketRowKey(id)), "it is there").value)
    const value = encodeBucket({ ...bucket, versioning: "enabled", lock: { defaultRetention: undefined } })
    return { writes: [{ family: "buckets", key: bucketRowKey(id), value }], result: undefined }
  },
})

test("locked versions of a bucket whose row has lost its object lock are not erased", async () => {
  const { scene, doomed } = await world()
  const { objects } = scene.engine.services
  await lockLost(scene, doomed, bucket => objects.setLegalHold({ bucket, key: objectKeyOfText("small") }, true))
  await refuses(scene.begin(), "objectLocked", /^1 versions of the bucket are locked/)
  assert.deepEqual(await scene.get(doomed, "small"), SMALL)
})

const loseLock = command<[id: BucketId], void>({
  name: "LoseLockForTest",
  grows: false,
  touches: id => [["buckets", bucketRowKey(id)]],
  decide(view, _time, id) {
    const { lock: _lock, ...bucket } = decodeBucket(must(view.get("buckets", bucketRowKey(id)), "it is there").value)
    return { writes: [{ family: "buckets", key: bucketRowKey(id), value: encodeBucket(bucket) }], result: undefined }
  },
})

test("an offline device holds up an erasure, by name, until it returns", async () => {
  const { scene, doomed, other, sealed } = await world(4)
  const { engine } = scene
  const { place } = must(engine.devices[3], "there are four")
  await engine.control.takeOffline(place.id, fail("deviceFailed"))
  const id = await scene.begin()
  await scene.settle()
  const { state, report } = await engine.erasures.state(id)
  assert.equal(state, "erasing")
  assert.ok(report?.keysReplaced)
  assert.deepEqual(report.devices, [{ id: place.id, path: "/d4", isOffline: true }])
  assert.match(engine.erasures.progress(), /bucket doomed: waits for \/d4/)
  assert.equal(scene.attack(doomed.id, sealed).isOpen, true, "the device still has the key")
  const stack = await engine.bringIn(folderOf(place))
  await engine.control.bringIn(stack)
  await scene.settle()
  assert.equal(await scene.state(id), "erased")
  assert.equal(scene.attack(doomed.id, sealed).isOpen, false)
  assert.deepEqual(await scene.get(other, "large"), LARGE)
})

test("two erasures at the same time both end", async () => {
  const { scene, doomed, other } = await world()
  const third = await scene.bucket("third")
  await scene.put(third, "large", LARGE)
  const one = await scene.begin()
  await scene.step()
  await scene.step()
  const two = await scene.begin("other")
  await scene.settle()
  assert.deepEqual([await scene.state(one), await scene.state(two)], ["erased", "erased"])
  assert.deepEqual([one, two], [doomed.id, other.id])
  assert.deepEqual(await scene.get(third, "large"), LARGE)
})
