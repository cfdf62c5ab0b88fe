/** Deduplication: equal blocks of a bucket are stored once, while their objects come and go. */
import { DEDUP_SERVICES } from "./services.js"
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeBlockDigests } from "@hayloft/engine/format/objects/dedup-rows.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix, NULL_VERSION } from "@hayloft/engine/format/objects/version-id.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { DEDUP_LIMITS } from "./dedup-commands-core.js"
import { putPart } from "@hayloft/objects/commands/multipart-commands-core.js"
import { extentOf } from "@hayloft/objects/commands/testing-bucket.js"
import type { CompletedPart, PutRequest, PutResult } from "@hayloft/objects/contract.js"
import { ENCRYPT_LIMITS } from "@hayloft/upkeep/encrypt/encrypt.js"
import { assertEncrypted, COMPLETE, convert } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { setStorageClass } from "../lifecycle/move-commands-core.js"
import {
  assertExact,
  assertNothing,
  BLOCK,
  copying,
  never,
  opened,
  put,
  putting,
  rowsIn,
  settle,
  uploading,
  type Scene,
} from "./testing-dedup.js"
import { sourcesOf } from "@hayloft/objects/queries/manifest-core.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { SMALL_PART_BYTES } from "@hayloft/upkeep/testing-services.js"

/** Shards of a block. */
const SHARDS = 3
/** The digests of such a part do not fit in one row. */
const MANY_BLOCKS_BYTES = (DEDUP_LIMITS.digestsPerRow + 20) * BLOCK

const refuses = (work: Promise<unknown>, kind: FailureKind) => assert.rejects(work, error => isFailure(error, kind))
const upload = (scene: Scene, key: string, parts: readonly Uint8Array[]) =>
  scene.world.clock.runUntil(uploading(scene, key, parts))

async function bytesOf({ world, bucket }: Scene, key: string, range: PutRange | undefined): Promise<Buffer> {
  const read = async () => {
    const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(range && { range }) }
    const body = await world.services.objects.get(target)
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  }
  return world.clock.runUntil(read())
}

type PutRange =
  | { readonly kind: "fromTo"; readonly first: number; readonly last: number }
  | { readonly kind: "part"; readonly partNumber: number }

const rangeOf = (scene: Scene, key: string, first: number, lengthBytes: number) =>
  bytesOf(scene, key, { kind: "fromTo", first, last: first + lengthBytes - 1 })

/** More than `put` says. */
const putWith = (scene: Scene, key: string, bytes: Uint8Array, more: Partial<PutRequest>) =>
  scene.world.services.objects.put({
    ...scene.world.putting(key, sourceOf(bytes)),
    bucket: scene.bucket,
    ...more,
  })

async function assertSame({ world }: Scene, bodies: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), key)
}

test("the same bytes are stored once; each object keeps them when the other goes", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(5 * BLOCK + 777)
  const first = await put(scene, "a", bytes)
  const before = world.needles
  const second = await put(scene, "b", bytes)
  assert.equal(second.etag, first.etag)
  assert.equal(world.needles, before)
  assertExact(scene)
  assert.ok((await world.get("b")).equals(bytes))
  await world.remove("a")
  await settle(scene)
  assert.equal(world.needles, before)
  assert.ok((await world.get("b")).equals(bytes))
  assert.ok((await rangeOf(scene, "b", BLOCK - 5, 2 * BLOCK)).equals(bytes.subarray(BLOCK - 5, 3 * BLOCK - 5)))
  assert.ok((await bytesOf(scene, "b", { kind: "part", partNumber: 1 })).equals(bytes), "it is no object of parts")
  await put(scene, "c", bytes)
  assert.equal(world.needles, before)
  await world.remove("b")
  await settle(scene)
  assert.ok((await world.get("c")).equals(bytes))
  assertExact(scene)
  await world.remove("c")
  await assertNothing(scene)
  assert.equal(world.compute.slabs.slabsFree, world.compute.slabs.slabsTotal)
})

test("a changed block is stored, the others are not, and the same body over itself stores nothing", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(6 * BLOCK)
  await put(scene, "a", bytes)
  const before = world.needles
  const changed = Uint8Array.from(bytes)
  changed[2 * BLOCK + 9] = (changed[2 * BLOCK + 9] ?? 0) ^ 1
  await put(scene, "b", changed)
  assert.equal(world.needles, before + SHARDS)
  for (let i = 0; i < 3; i += 1) await put(scene, "a", bytes)
  await settle(scene)
  assert.equal(world.needles, before + SHARDS)
  assert.ok((await world.get("a")).equals(bytes))
  assert.ok((await world.get("b")).equals(changed))
  // Blocks are found wherever they are, but not bytes within them.
  const gaps = Buffer.concat([0, 2, 3, 1].map(block => bytes.subarray(block * BLOCK, (block + 1) * BLOCK)))
  await put(scene, "gaps", gaps)
  assert.equal(world.needles, before + SHARDS)
  assert.ok((await world.get("gaps")).equals(gaps))
  const moved = Buffer.concat([bytes.subarray(3 * BLOCK), bytes.subarray(0, 3 * BLOCK)])
  await put(scene, "moved", moved)
  assert.equal(world.needles, before + SHARDS)
  await put(scene, "shifted", Buffer.concat([Buffer.of(1), bytes]))
  assert.equal(world.needles, before + SHARDS + 7 * SHARDS)
  assert.ok((await world.get("moved")).equals(moved))
  for (const key of ["a", "b", "gaps", "moved", "shifted"]) await world.remove(key)
  await assertNothing(scene)
})

test("a body has at most so many runs; the rest of it is stored", async () => {
  const scene = await opened()
  const { world } = scene
  const known = world.random.bytes(BLOCK)
  await put(scene, "known", Buffer.concat([known, known.subarray(0, 1)]))
  const blocks = Array.from({ length: DEDUP_LIMITS.runsMax + 40 }, (_, i) =>
    i % 2 === 0 ? known : world.random.bytes(BLOCK),
  )
  const before = rowsIn(scene, "segments").length
  const bytes = Buffer.concat(blocks)
  await put(scene, "a", bytes)
  assert.equal(rowsIn(scene, "segments").length, before + DEDUP_LIMITS.runsMax)
  assert.ok((await world.get("a")).equals(bytes))
  await world.remove("known")
  await settle(scene)
  assert.ok((await world.get("a")).equals(bytes))
  await world.remove("a")
  await assertNothing(scene)
})

test("versions share blocks with each other and with other keys", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  await world.clock.runUntil(world.services.buckets.setVersioning(bucket, "enabled"))
  const versioned = { ...scene, bucket: await world.services.buckets.open(bucket.name) }
  const bytes = world.random.bytes(4 * BLOCK)
  const before = world.needles
  const versions: PutResult[] = []
  for (let i = 0; i < 3; i += 1) versions.push(await put(versioned, "a", bytes))
  await put(versioned, "b", bytes)
  await world.clock.runUntil(copying(versioned, "b", "c"))
  assert.equal(world.needles, before + 4 * SHARDS)
  const remove = (key: string, versionId: PutResult["versionId"]) =>
    world.services.objects.remove({
      bucket: versioned.bucket,
      key: objectKeyOfText(key),
      conditions: {},
      ...(versionId !== undefined && { versionId }),
    })
  for (const { versionId } of versions) {
    await remove("a", versionId)
    await settle(scene)
    for (const key of ["b", "c"]) assert.ok((await world.get(key)).equals(bytes), key)
    assert.equal(world.needles, before + 4 * SHARDS)
  }
  assertExact(scene)
})

test("what a refused write has stored goes, and what it would have shared stays", async () => {
  const scene = await opened()
  const { world } = scene
  const { clock } = world
  const bytes = world.random.bytes(4 * BLOCK)
  await put(scene, "a", bytes)
  await settle(scene)
  const before = world.needles
  const own = () => world.random.bytes(BLOCK)
  const mixed = Buffer.concat([own(), bytes.subarray(0, BLOCK), own(), bytes.subarray(2 * BLOCK), own()])
  const conditions = { ifNoneMatch: ["*"] }
  await refuses(clock.runUntil(putWith(scene, "a", mixed, { conditions })), "preconditionFailed")
  assert.equal(world.needles, before, "all runs are discarded at once")
  const broken = {
    ...sourceOf(mixed),
    gather: () => undefined,
    async *open() {
      yield mixed.subarray(0, 3 * BLOCK)
      throw fail("incompleteBody")
    },
  }
  await refuses(clock.runUntil(putWith(scene, "b", mixed, { body: broken })), "incompleteBody")
  const wrong = { ...sourceOf(mixed), gather: () => undefined, md5: new Uint8Array(16) }
  await refuses(clock.runUntil(putWith(scene, "b", mixed, { body: wrong })), "badDigest")
  await settle(scene)
  assert.equal(world.needles, before)
  assertExact(scene)
  assert.ok((await world.get("a")).equals(bytes))
  await world.remove("a")
  await assertNothing(scene)
  assert.equal(world.compute.slabs.slabsFree, world.compute.slabs.slabsTotal)
})

test("a quota counts the bytes of each object, as if they were stored", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services } = world
  const target = { kind: "bucket", name: bucket.name } as const
  await clock.runUntil(services.quotas.set(target, { hardBytes: 10 * BLOCK }))
  const bytes = world.random.bytes(4 * BLOCK)
  for (const key of ["a", "b"]) await put(scene, key, bytes)
  await refuses(put(scene, "c", bytes), "quotaExceeded")
  assert.equal((await services.buckets.usage(bucket)).bytes, 8 * BLOCK)
  await world.remove("a")
  await put(scene, "c", bytes)
  assertExact(scene)
})

test("bytes are shared neither between buckets nor between storage classes", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services } = world
  const bytes = world.random.bytes(9 * BLOCK)
  await put(scene, "a", bytes)
  const needles = world.needles
  const made = await services.buckets.create({
    name: parseBucketName("other"),
    owner: parseAccountId("root"),
    location: "",
  })
  await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(made, true))
  const other = { world, bucket: await services.buckets.open(made.name) }
  await put(other, "a", bytes)
  assert.equal(world.needles, 2 * needles)
  await clock.runUntil(putWith(scene, "cold", bytes, { storageClass: "STANDARD_IA" }))
  assert.equal(world.needles, 3 * needles)
  await clock.runUntil(putWith(scene, "cold2", bytes, { storageClass: "STANDARD_IA" }))
  assert.equal(world.needles, 3 * needles)
  const keys = rowsIn(scene, "blockIndex").map(([rowKey]) => rowKey.slice(8))
  assert.equal(new Set(keys).size, 27, "digests tell nothing of equal bytes elsewhere")
  // An object that moves to another class shares its blocks with no further ones.
  const transitions = [{ storageClass: "STANDARD_IA", days: 1 }] as const
  const rule = { id: "cold", isEnabled: true, filter: { form: "filter", prefix: "a" }, transitions } as const
  const rules = encodeLifecycleRules({ transitionMinimum: "varies_by_storage_class", rules: [rule] })
  await clock.runUntil(services.buckets.setSetting(bucket, "lifecycle", rules))
  await put(scene, "before", bytes)
  assert.equal(world.needles, 3 * needles)
  const time = { ...REAL_DAYS, nowMs: clock.wallMs() + 9 * REAL_DAYS.dayMs }
  const target = { bucketId: bucket.id, key: objectKeyOfText("a"), versionId: NULL_VERSION }
  assert.equal((await world.tablet.run(setStorageClass(target, time))).moved, 1)
  await put(scene, "after", bytes)
  assert.equal(world.needles, 4 * needles)
  await put(scene, "again", bytes)
  assert.equal(world.needles, 4 * needles)
  await assertSame(scene, new Map(["a", "before", "after", "again", "cold", "cold2"].map(key => [key, bytes])))
  for (const key of ["a", "before", "after", "again", "cold", "cold2"]) await world.remove(key)
  await services.objects.remove({ bucket: other.bucket, key: objectKeyOfText("a"), conditions: {} })
  await assertNothing(scene)
})

test("once it is off, blocks are stored again, and those that are shared stay", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const bytes = world.random.bytes(4 * BLOCK)
  for (const key of ["a", "b"]) await put(scene, key, bytes)
  await world.clock.runUntil(DEDUP_SERVICES.of(world.services.core).dedup.setDedup(bucket, false))
  const off = { world, bucket: await world.services.buckets.open(bucket.name) }
  const before = world.needles
  await put(off, "c", bytes)
  assert.equal(world.needles, 2 * before)
  await world.remove("a")
  await settle(scene)
  for (const key of ["b", "c"]) assert.ok((await world.get(key)).equals(bytes), key)
  for (const key of ["b", "c"]) await world.remove(key)
  await assertNothing(scene)
})

test("deduplication and encryption exclude each other", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services, home } = world
  const set = (name: "encryption" | "remote") => clock.runUntil(services.buckets.setSetting(bucket, name, "<x/>"))
  for (const name of ["encryption", "remote"] as const) {
    await refuses(set(name), "invalidRequest")
    await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, false))
    await set(name)
    await refuses(clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, true)), "invalidRequest")
    await clock.runUntil(services.buckets.setSetting(bucket, name, undefined))
    await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, true))
  }
  const encryption = { mode: "s3" } as const
  const bytes = world.random.bytes(3 * BLOCK)
  await refuses((async () => putWith(scene, "a", bytes, { encryption }))(), "invalidRequest")
  await put(scene, "a", bytes)
  const converted = convert(world)
  await refuses(
    converted.clock.runUntil(DEDUP_SERVICES.of(converted.services.core).dedup.setDedup(home, true)),
    "invalidRequest",
  )
})

test("a store that begins to encrypt gives objects and parts bytes of their own, and shares no further ones", async () => {
  const scene = await opened()
  const bytes = scene.world.random.bytes(3 * BLOCK)
  for (const key of ["a", "b"]) await put(scene, key, bytes)
  const alone = scene.world.random.bytes(3 * BLOCK)
  await put(scene, "alone", alone)
  const parts = [SMALL_PART_BYTES, 2 * BLOCK + 3].map(size => scene.world.random.bytes(size))
  for (const key of ["p", "q"]) await upload(scene, key, parts)
  await upload(scene, "r", [must(parts[0], "1"), scene.world.random.bytes(SMALL_PART_BYTES), must(parts[1], "2")])
  await scene.world.remove("a")
  await scene.world.remove("p")
  await settle(scene)
  const whole = await scene.world.get("r")
  const world = convert(scene.world)
  const after = { ...scene, world }
  for (let pass = 0; pass < 8; pass += 1) {
    await world.settle("encrypt")
    await world.settle("collector")
    await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  }
  await assertEncrypted(world, "in the end")
  await put(after, "c", bytes)
  for (const key of ["b", "c"]) assert.ok((await world.get(key)).equals(bytes), key)
  assert.ok((await world.get("q")).equals(Buffer.concat(parts)))
  assert.ok((await world.get("r")).equals(whole))
  assert.ok((await bytesOf(after, "r", { kind: "part", partNumber: 3 })).equals(must(parts[1], "2")))
  assertExact(after)
  // A later process that does not encrypt does not reference encrypted bytes.
  world.encrypts = false
  const plain = { ...scene, world: world.restart(3) }
  for (const [key, body] of [
    ["d", bytes],
    ["beside", alone],
  ] as const) {
    await put(plain, key, body)
    assert.ok((await plain.world.get(key)).equals(body), key)
  }
  for (const key of ["alone", "b", "beside", "c", "d", "q", "r"]) await plain.world.remove(key)
  await assertNothing(plain)
})

test("bytes that are referenced after the encryption job has looked at them are not encrypted before they are copied", async () => {
  const scene = await opened()
  const { random } = scene.world
  const bytes = random.bytes(3 * BLOCK)
  await put(scene, "a", bytes)
  scene.world.encrypts = true
  const world = scene.world.beside(2)
  // A process that does not encrypt yet.
  let isPut = false
  world.tablet.before = async name => {
    if (name !== "AddSealing" || isPut) return
    isPut = true
    await putting(scene, "b", bytes)
  }
  await world.settle("encrypt")
  assert.ok(isPut)
  assertExact(scene)
  await assertSame({ ...scene, world }, new Map(["a", "b"].map(key => [key, bytes])))
  await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  await assertEncrypted(world, "in the end")
  await assertSame({ ...scene, world }, new Map(["a", "b"].map(key => [key, bytes])))
  for (const key of ["a", "b"]) await world.remove(key)
  await assertNothing({ ...scene, world })
})

/** An open upload with a part, and the request that completes it. */
async function beginUpload({ world, bucket }: Scene, key: string, bytes: Uint8Array) {
  const { multipart } = world.services
  const target = { bucket, key: objectKeyOfText(key) }
  const { multipartId } = await multipart.create(plainUpload(bucket, target.key))
  const part = { ...target, multipartId, partNumber: 1, body: sourceOf(bytes), signal: never }
  const { etag } = await multipart.putPart(part)
  return { ...target, multipartId, ...COMPLETE, parts: [{ partNumber: 1, etag, checksum: undefined }] }
}

const isAnyReferring = (scene: Scene): boolean =>
  rowsIn(scene, "segments").some(([, { value }]) => sourcesOf(decodeSegment(value)).length > 0)

test("an upload from before that is completed in a store that encrypts by now refers to nothing", async () => {
  const scene = await opened()
  const bytes = scene.world.random.bytes(SMALL_PART_BYTES)
  await put(scene, "a", bytes)
  const complete = await scene.world.clock.runUntil(beginUpload(scene, "b", bytes))
  const after = { ...scene, world: convert(scene.world) }
  await after.world.clock.runUntil(after.world.services.multipart.complete(complete))
  assert.ok(!isAnyReferring(after))
  await assertSame(after, new Map(["a", "b"].map(key => [key, bytes])))
})

test("a completion that was refused leaves nothing for which encryption waits", async () => {
  for (const isLeft of [false, true]) {
    const scene = await opened()
    const { clock, services, tablet, random } = scene.world
    const bytes = random.bytes(SMALL_PART_BYTES)
    await put(scene, "a", bytes)
    const complete = await clock.runUntil(beginUpload(scene, "b", bytes))
    tablet.before = name => {
      if (name === "CompleteUpload" || (isLeft && name === "FreezeUpload")) throw fail("deviceFailed")
    }
    await refuses(clock.runUntil(services.multipart.complete(complete)), "deviceFailed")
    assert.equal(isAnyReferring(scene), isLeft)
    tablet.before = () => undefined
    const after = { ...scene, world: convert(scene.world) }
    await assertEncrypted(after.world, "in the end")
    assertExact(after)
    await after.world.clock.runUntil(after.world.services.multipart.complete(complete))
    await assertSame(after, new Map(["a", "b"].map(key => [key, bytes])))
  }
})

test("what undelete keeps has its blocks, and others share them", async () => {
  const scene = await opened()
  const { world, bucket } = scene
  const { clock, services } = world
  await clock.runUntil(services.undelete.setUndelete(bucket.id, 3))
  const bytes = world.random.bytes(3 * BLOCK)
  await put(scene, "a", bytes)
  const before = world.needles
  await put(scene, "b", bytes)
  for (const key of ["a", "b"]) await world.remove(key)
  await settle(scene)
  await put(scene, "c", bytes)
  assert.equal(world.needles, before)
  for (const key of ["a", "b"])
    await clock.runUntil(services.undelete.undelete(bucket.id, objectKeyOfText(key), { over: false }))
  await assertSame(scene, new Map(["a", "b", "c"].map(key => [key, bytes])))
  assertExact(scene)
})

const WHEN_COLLECTED = ["their bytes are gone", "all is gone"] as const

for (const when of WHEN_COLLECTED)
  test(`blocks that are being deleted when an object is to share them are not shared: ${when}`, async () => {
    const scene = await opened()
    const { world } = scene
    const bytes = world.random.bytes(4 * BLOCK)
    await put(scene, "a", bytes)
    await world.remove("a")
    let collects = true
    const isThere = () => rowsIn(scene, when === "all is gone" ? "blockDigests" : "segments").length > 0
    world.tablet.before = async name => {
      if (name !== "PutDeduplicated" || !collects) return
      collects = false
      // The blocks were found, and are deleted before the decision.
      while (isThere()) await world.job("collector").step(never)
    }
    await refuses(put(scene, "b", bytes), "tooManyInFlight")
    await put(scene, "b", bytes)
    assert.ok((await world.get("b")).equals(bytes))
    assertExact(scene)
    await world.remove("b")
    await assertNothing(scene)
  })

test("blocks that are shared before the collector decides stay", async () => {
  const scene = await opened()
  const { world } = scene
  const bytes = world.random.bytes(4 * BLOCK)
  await put(scene, "a", bytes)
  const before = world.needles
  await world.remove("a")
  let puts = true
  world.tablet.before = async name => {
    if (name !== "KeepReferenced" || !puts) return
    puts = false
    await putting(scene, "b", bytes)
  }
  await settle(scene)
  assert.equal(puts, false)
  assert.equal(world.needles, before)
  assert.ok((await world.get("b")).equals(bytes))
  await world.remove("b")
  await assertNothing(scene)
})

const partsOf = async ({ world, bucket }: Scene, key: string) => {
  const page = await world.services.objects.parts({ bucket, key: objectKeyOfText(key) }, { afterPart: 0, max: 1000 })
  return page.parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])
}

test("parts that are known become references when the upload is completed, and stay parts", async () => {
  const scene = await opened()
  const { world } = scene
  const [first, second, third] = [MANY_BLOCKS_BYTES, SMALL_PART_BYTES, 3 * BLOCK + 5].map(size =>
    world.random.bytes(size),
  )
  const parts = [first, second, third].flatMap(each => each ?? [])
  const whole = Buffer.concat(parts)
  const one = await upload(scene, "one", parts)
  await settle(scene)
  const before = world.needles
  const two = await upload(scene, "two", parts)
  assert.equal(two.etag, one.etag)
  await settle(scene)
  assert.equal(world.needles, before)
  assertExact(scene)
  const changed = [must(first, "1"), world.random.bytes(SMALL_PART_BYTES), must(third, "3")]
  await upload(scene, "mixed", changed)
  for (const key of ["one", "two"]) {
    assert.ok((await world.get(key)).equals(whole), key)
    assert.deepEqual(await partsOf(scene, key), await partsOf(scene, "one"))
  }
  assert.ok((await world.get("mixed")).equals(Buffer.concat(changed)))
  for (const [i, bytes] of changed.entries())
    assert.ok((await bytesOf(scene, "mixed", { kind: "part", partNumber: i + 1 })).equals(bytes), `${i}`)
  assert.deepEqual(
    await partsOf(scene, "mixed"),
    changed.map(({ length }, i) => [i + 1, length]),
  )
  // An upload in parts and a single PUT share blocks too.
  const needles = world.needles
  await put(scene, "put", whole)
  assert.equal(world.needles, needles)
  await settle(scene)
  for (const key of ["one", "two"]) await world.remove(key)
  await settle(scene)
  assert.ok((await world.get("put")).equals(whole))
  assert.ok((await world.get("mixed")).equals(Buffer.concat(changed)))
  assertExact(scene)
  for (const key of ["put", "mixed"]) await world.remove(key)
  await assertNothing(scene)
})

/** An upload whose parts have the digests of so many blocks of 4 MiB, without their bytes. */
async function uploadOfLarge({ world, bucket }: Scene, key: string, count: number, blocks: number) {
  const { clock, services, tablet } = world
  const target = { bucket, key: objectKeyOfText(key) }
  const what = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
  const { multipartId } = await clock.runUntil(services.multipart.create({ ...target, ...what }))
  const parts: CompletedPart[] = []
  for (let partNumber = 1; partNumber <= count; partNumber += 1) {
    const digests = Array.from({ length: blocks }, (_, i) => {
      const digest = Buffer.alloc(32)
      digest.writeUInt32BE(partNumber)
      digest.writeUInt32BE(i, 4)
      return digest
    })
    const lengths = { lengthBytes: blocks * 4 * MIB, blockBytes: 4 * MIB, policy: world.policy }
    const part = { partNumber, md5: new Uint8Array(16), checksumValue: undefined, digests: concatBytes(digests) }
    const extent = extentOf(partNumber, { ...lengths, part: partNumber })
    const put = { bucketId: bucket.id, key: target.key, multipartId, part: { ...part, extent }, hints: [] }
    const { md5 } = await clock.runUntil(tablet.run(putPart(put)))
    parts.push({ partNumber, etag: hexOf(md5), checksum: undefined })
  }
  return { ...target, ...COMPLETE, multipartId, parts }
}

const digestsIn = (scene: Scene): number =>
  rowsIn(scene, "blockDigests").reduce((sum, [, { value }]) => sum + decodeBlockDigests(value).digests.length, 0)

test("an upload is completed with all its digests, however many blocks its parts have", async () => {
  const scene = await opened()
  const { world } = scene
  const [count, blocks] = [256, 160]
  const request = await uploadOfLarge(scene, "large", count, blocks)
  const result = await world.clock.runUntil(world.services.multipart.complete(request))
  assert.ok(result.etag.endsWith(`-${count}`))
  assert.equal(digestsIn(scene), count * blocks)
  assertExact(scene)
})

test("digests of attempts that failed do not outlive the next, although it fails while it drops them", async () => {
  const scene = await opened()
  const { world } = scene
  const { clock, services } = world
  const blocks = DEDUP_LIMITS.digestsPerRow + 1
  const request = await uploadOfLarge(scene, "large", 200, blocks)
  const complete = (parts: readonly CompletedPart[]) =>
    clock.runUntil(services.multipart.complete({ ...request, parts }))
  for (const [failing, after] of [
    ["PutPartDigests", 3],
    ["CompleteUpload", 0],
    ["DropStale", 1],
  ] as const) {
    let left: number = after
    world.tablet.before = name => {
      // The rows that a failed attempt leaves stay until the next attempt.
      if (name === "FreezeUpload") throw fail("deviceFailed")
      if (name === failing && (left -= 1) < 0) throw fail("deviceFailed")
    }
    await refuses(complete(request.parts), "deviceFailed")
  }
  world.tablet.before = () => undefined
  await complete(request.parts.slice(1, 3))
  assert.equal(digestsIn(scene), 2 * blocks)
  assertExact(scene)
})

test("a completion that fails leaves nothing that another attempt, or the end of the upload, does not remove", async () => {
  for (const goesOn of [true, false]) {
    const scene = await opened()
    const { world, bucket } = scene
    const { clock, services } = world
    const parts = [SMALL_PART_BYTES, 2 * BLOCK].map(size => world.random.bytes(size))
    await upload(scene, "one", parts)
    const target = { bucket, key: objectKeyOfText("two") }
    world.tablet.before = name => {
      if (name === "CompleteUpload" || name === "FreezeUpload") throw fail("deviceFailed")
    }
    await refuses(upload(scene, "two", parts), "deviceFailed")
    world.tablet.before = () => undefined
    assert.ok(rowsIn(scene, "segments").some(([, { value }]) => decodeSegment(value).referring !== undefined))
    const [row] = rowsIn(scene, "uploads")
    const { suffix } = parseObjectRowKey(must(row, "the upload is open")[0])
    const open = { ...target, multipartId: multipartIdOfSuffix(suffix) }
    if (goesOn) {
      const { parts: stored } = await services.multipart.listParts({ ...open, afterPart: 0, max: 10 })
      const last = must(stored[1], "it has two")
      const completed = [{ partNumber: last.partNumber, etag: last.etag, checksum: undefined }]
      const what = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined, signal: never }
      await clock.runUntil(services.multipart.complete({ ...open, ...what, parts: completed }))
      assert.ok((await world.get("two")).equals(must(parts[1], "2")))
      assertExact(scene)
      await world.remove("two")
    } else await clock.runUntil(services.multipart.abort(open))
    await settle(scene)
    assert.ok((await world.get("one")).equals(Buffer.concat(parts)))
    assertExact(scene)
    await world.remove("one")
    await assertNothing(scene)
  }
})
