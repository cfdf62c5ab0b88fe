/** Blocks have the policy of their version's class, whatever made the version, and follow the operator's map. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseLogSequence, type RowKey, type UploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { isArchive, STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { ALL_NEEDLES, type ShardScanPage } from "@hayloft/engine/block/index.js"
import { TestDevices } from "@hayloft/engine/block/testing-blocks.js"
import { Rows } from "@hayloft/engine/device/index.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { CopyRequest } from "@hayloft/objects/contract.js"
import { ALL_OBJECT_ROWS, EXTENT_FAMILIES, extentsOf, readExtentRows } from "@hayloft/objects/queries/extent-rows.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES, StoreWorld } from "@hayloft/upkeep/testing-services.js"

const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
type World = StoreWorld<TestDevices>

/** STANDARD is ec:2+1; the layout has a slot for each of six devices. */
async function open(): Promise<World> {
  const world = await StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy("ec:2+1"), 6)
  world.relayout([...world.devices.live.keys()], 6)
  await world.settle()
  await world.clock.runUntil(world.services.storeClock.start())
  return world
}

function map(world: World, policies: Partial<Record<StorageClass, string>>): void {
  world.mapped.clear()
  for (const storageClass of STORAGE_CLASSES) {
    const text = policies[storageClass]
    if (text !== undefined) world.mapped.set(storageClass, parsePolicy(text))
  }
  world.policyVersion += 1
}

/** The policies of all blocks of a key that some row still references. */
async function policiesOf(world: World, key: string): Promise<readonly string[]> {
  for (const job of ["reencode", "collector", "repair"]) await world.settle(job)
  await world.removeAborted()
  return present(world, key)
}

/** Returns the policies of the key's blocks that are present now. */
function present(world: World, key: string): readonly string[] {
  const found = new Set<string>()
  const uploads = uploadsOf(world, key)
  for (let from: RowKey | undefined = ALL_NEEDLES.start; from !== undefined;) {
    const page: ShardScanPage | Promise<ShardScanPage> = world.blocks.shardScan(from)
    assert.ok(!(page instanceof Promise), "test devices answer synchronously")
    for (const { uploadId, shape } of page.groups)
      if (uploads.has(uploadId)) found.add(textOfPolicy(must(shape, "indexed").policy))
    from = page.next
  }
  return [...found].sort()
}

/** Returns the uploads that rows of the key reference. */
function uploadsOf({ tablet }: World, key: string): ReadonlySet<UploadId> {
  const uploads = EXTENT_FAMILIES.flatMap(family => {
    const { rows } = readExtentRows(tablet.committed, family, ALL_OBJECT_ROWS.start, 1_000)
    const its = rows.filter(({ rowKey }) => parseObjectRowKey(rowKey).key === objectKeyOfText(key))
    return its.flatMap(({ row }) => extentsOf(family, row).map(({ uploadId }) => uploadId))
  })
  return new Set(uploads)
}

async function put(world: World, key: string, bytes: Uint8Array, storageClass: StorageClass): Promise<void> {
  const request = { ...world.putting(key, sourceOf(bytes)), storageClass }
  await world.clock.runUntil(world.services.objects.put(request))
}

const copying = (world: World, from: string, to: string, storageClass: StorageClass): CopyRequest => ({
  source: { bucket: world.home, key: objectKeyOfText(from), conditions: {} },
  bucket: world.home,
  key: objectKeyOfText(to),
  conditions: {},
  storageClass,
  signal: noSignal,
  replaceAttributes: undefined,
  replaceTags: undefined,
  checksumAlgorithm: undefined,
})

const copy = (world: World, from: string, to: string, storageClass: StorageClass) =>
  world.clock.runUntil(world.services.objects.copy(copying(world, from, to, storageClass)))

const restore = (world: World, key: string) => {
  const target = { bucket: world.home, key: objectKeyOfText(key) }
  return world.clock.runUntil(world.services.archives.restore(target, { days: 1, tier: "Standard" }))
}

async function classOf(world: World, key: string): Promise<StorageClass> {
  const request = { bucket: world.home, key: objectKeyOfText(key), conditions: {}, headersOnly: true }
  const body = await world.clock.runUntil(Promise.resolve(world.services.objects.get(request)))
  body.close()
  return body.info.storageClass
}

const MAP = {
  REDUCED_REDUNDANCY: "replica:2",
  STANDARD_IA: "ec:4+2",
  ONEZONE_IA: "replica:1",
  GLACIER: "ec:3+1",
  DEEP_ARCHIVE: "ec:4+1",
  GLACIER_IR: "replica:3",
}
const policyIn = (storageClass: StorageClass): string =>
  (MAP as Partial<Record<string, string>>)[storageClass] ?? "ec:2+1"

test("a restore that has ended has ended also while the store's clock is unknown", async () => {
  const world = await open()
  map(world, MAP)
  const bytes = world.random.bytes(40 * KIB)
  await put(world, "a", bytes, "GLACIER")
  await restore(world, "a")
  const other = world.beside(2)
  assert.equal(other.services.storeClock.shownMs, 0)
  assert.ok((await other.get("a")).equals(bytes))
  await world.clock.runUntil(world.clock.sleep(3 * 86_400_000, noSignal))
  await assert.rejects(other.get("a"), error => isFailure(error, "invalidObjectState"))
})

// (API, RestoreObject) "If the object is previously restored, Amazon S3 returns 200 OK in the response."
test("a restore in a class that is only a name finds the object restored, as its headers say, and is kept for later", async () => {
  const world = await open()
  await put(world, "a", world.random.bytes(40 * KIB), "GLACIER")
  assert.deepEqual([await restore(world, "a"), await restore(world, "a")], [true, true])
  await put(world, "b", world.random.bytes(40 * KIB), "GLACIER")
  map(world, MAP)
  await world.get("a")
  await assert.rejects(world.get("b"), error => isFailure(error, "invalidObjectState"))
  assert.deepEqual([await restore(world, "b"), await restore(world, "b")], [false, true])
})

test("every copy between two classes, onto itself and onto another key, has the policy of its class", async () => {
  const world = await open()
  map(world, MAP)
  for (const from of STORAGE_CLASSES) {
    for (const to of STORAGE_CLASSES) {
      const [key, other, what] = [`${from}-${to}`, `other-${from}-${to}`, `${from} to ${to}`]
      const bytes = world.random.bytes(40 * KIB)
      await put(world, key, bytes, from)
      assert.deepEqual(present(world, key), [policyIn(from)], what)
      if (isArchive(from)) {
        await assert.rejects(copy(world, key, other, to), error => isFailure(error, "invalidObjectState"), what)
        await restore(world, key)
      }
      await copy(world, key, other, to)
      assert.deepEqual(present(world, other), [policyIn(to)], `${what}: another key`)
      if (from === to) {
        await assert.rejects(copy(world, key, key, to), error => isFailure(error, "invalidRequest"), what)
        continue
      }
      await copy(world, key, key, to)
      assert.equal(await classOf(world, key), to, what)
      if (isArchive(to)) await restore(world, key)
      assert.ok((await world.get(key)).equals(bytes), what)
      await world.settle("collector")
      assert.deepEqual(present(world, key), [policyIn(to)], what)
    }
  }
})

test("versions of one class share bytes, and those of two classes do not", async () => {
  const world = await open()
  map(world, MAP)
  const { buckets, objects } = world.services
  await buckets.setVersioning(world.home, "enabled")
  await put(world, "a", world.random.bytes(40 * KIB), "STANDARD_IA")
  const before = world.needles
  const replaceTags = [["k", "v"]] as const
  await world.clock.runUntil(objects.copy({ ...copying(world, "a", "a", "STANDARD_IA"), replaceTags }))
  assert.equal(world.needles, before, "no bytes were written")
  await world.clock.runUntil(objects.copy({ ...copying(world, "a", "a", "GLACIER_IR"), replaceTags }))
  assert.ok(world.needles > before, "bytes were written")
  assert.deepEqual(await policiesOf(world, "a"), ["ec:4+2", "replica:3"])
})

test("a changed map re-encodes what has the class, parts and segments too, and nothing else", async () => {
  const world = await open()
  const { buckets, multipart } = world.services
  await buckets.setVersioning(world.home, "enabled")
  const bucket = await buckets.open(world.home.name)
  const bodies = new Map<string, Uint8Array>()
  for (const [key, storageClass] of [
    ["plain", "STANDARD"],
    ["rare", "STANDARD_IA"],
  ] as const) {
    const bytes = world.random.bytes(70 * KIB)
    await put(world, key, world.random.bytes(30 * KIB), storageClass)
    await put(world, key, bytes, storageClass)
    bodies.set(key, bytes)
  }
  for (const isCompleted of [true, false]) {
    const key = objectKeyOfText(isCompleted ? "whole" : "begun")
    const upload = { ...plainUpload(bucket, key), storageClass: "STANDARD_IA" } as const
    const { multipartId } = await multipart.create(upload)
    const target = { bucket, key, multipartId }
    const parts = []
    for (const [partNumber, length] of [
      [1, SMALL_PART_BYTES],
      [2, 20 * KIB],
    ] as const) {
      const body = sourceOf(world.random.bytes(length))
      const part = multipart.putPart({ ...target, partNumber, body, signal: noSignal })
      parts.push({ partNumber, etag: (await world.clock.runUntil(part)).etag, checksum: undefined })
    }
    const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
    if (isCompleted) await world.clock.runUntil(multipart.complete({ ...target, parts, ...nothing, signal: noSignal }))
  }
  const all = ["plain", "rare", "whole", "begun"]
  for (const key of all) assert.deepEqual(await policiesOf(world, key), ["ec:2+1"], `${key} while nothing is mapped`)
  map(world, { STANDARD_IA: "ec:4+2" })
  for (const key of all) {
    const expected = key === "plain" ? "ec:2+1" : "ec:4+2"
    assert.deepEqual(await policiesOf(world, key), [expected], `${key} after it was mapped`)
  }
  map(world, {})
  for (const key of all) assert.deepEqual(await policiesOf(world, key), ["ec:2+1"], `${key} after it was cleared`)
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), key)
})

test("the policy of a class comes before that of the bucket, and the bucket's before the store's", async () => {
  const world = await open()
  map(world, { STANDARD_IA: "ec:4+2" })
  await world.services.buckets.setPolicy(world.home.name, parsePolicy("replica:2"))
  for (const storageClass of ["STANDARD", "STANDARD_IA", "ONEZONE_IA"] as const) {
    await put(world, storageClass, world.random.bytes(40 * KIB), storageClass)
    const expected = storageClass === "STANDARD_IA" ? "ec:4+2" : "replica:2"
    assert.deepEqual(present(world, storageClass), [expected], "new blocks")
    assert.deepEqual(await policiesOf(world, storageClass), [expected], "and re-encoding leaves them")
  }
})
