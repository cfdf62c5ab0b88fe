/** Deduplication: equal blocks of a bucket are stored once, whatever becomes of the objects that have them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "../base/assert.js"
import { isFailure, type FailureKind } from "../base/failures.js"
import { objectKeyOfText, rowKeyOf } from "../base/ids.js"
import { KIB, PART_BYTES_MIN } from "../base/limits.js"
import type { Family } from "../base/families.js"
import { decodeReferences, decodeSegment } from "../format/records.js"
import { uploadOfPartRowKey } from "../format/row-key.js"
import type { Bucket } from "./contract.js"
import { COMPLETE } from "./jobs/testing-encrypt.js"
import { open, type World } from "./jobs/testing-repair.js"
import { referencesRowKey, sourcesOf } from "./queries/manifest-core.js"
import { ALL_OBJECT_ROWS } from "./queries/extent-rows.js"
import { sourceOf } from "./testing-services.js"

const never = new AbortController().signal
const BLOCK = 16 * KIB
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export interface Scene {
  readonly world: World
  readonly bucket: Bucket
}

async function opened(policy = "ec:2+1"): Promise<Scene> {
  const world = await open(policy)
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  await clock.runUntil(services.dedup.setDedup(home, true))
  return { world, bucket: await services.buckets.open(home.name) }
}

const putting = ({ world, bucket }: Scene, key: string, bytes: Uint8Array) =>
  world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket })

const put = (scene: Scene, key: string, bytes: Uint8Array) => scene.world.clock.runUntil(putting(scene, key, bytes))

const rowsOf = ({ world }: Scene, family: Family): number =>
  [...world.tablet.committed.range(family, family === "blockIndex" ? ALL : ALL_OBJECT_ROWS)].length

async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}

/** The counts are those of the references. */
function assertCounted({ world }: Scene): void {
  const found = new Map<string, number>()
  for (const [rowKey, { value }] of world.tablet.committed.range("segments", ALL_OBJECT_ROWS)) {
    for (const source of sourcesOf(decodeSegment(value))) {
      const name = referencesRowKey(must(world.home.id, uploadOfPartRowKey(rowKey)), source)
      found.set(name, (found.get(name) ?? 0) + 1)
    }
  }
  const counted = new Map<string, number>()
  for (const [rowKey, { value }] of world.tablet.committed.range("references", ALL_OBJECT_ROWS)) {
    const { count } = decodeReferences(value)
    if (count > 0) counted.set(rowKey, count)
  }
  assert.deepEqual(counted, found)
}

async function assertNothing(scene: Scene): Promise<void> {
  await settle(scene)
  assert.equal(scene.world.needles, 0)
  for (const family of ["references", "segments", "releases", "parts", "blockDigests", "blockIndex"] as const)
    assert.equal(rowsOf(scene, family), 0, family)
}

const refuses = (work: Promise<unknown>, kind: FailureKind) => assert.rejects(work, error => isFailure(error, kind))

async function rangeOf({ world, bucket }: Scene, key: string, first: number, lengthBytes: number): Promise<Buffer> {
  const range = { kind: "fromTo", first, last: first + lengthBytes - 1 } as const
  const read = async () => {
    const body = await world.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {}, range })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  }
  return world.clock.runUntil(read())
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
  assertCounted(scene)
  assert.ok((await world.get("b")).equals(bytes))
  await world.remove("a")
  await settle(scene)
  assert.equal(world.needles, before)
  assert.ok((await world.get("b")).equals(bytes))
  assert.ok((await rangeOf(scene, "b", BLOCK - 5, 2 * BLOCK)).equals(bytes.subarray(BLOCK - 5, 3 * BLOCK - 5)))
  await put(scene, "c", bytes)
  assert.equal(world.needles, before)
  await world.remove("b")
  await settle(scene)
  assert.ok((await world.get("c")).equals(bytes))
  assertCounted(scene)
  await world.remove("c")
  await assertNothing(scene)
})

const UPLOAD = {
  ...{ attributes: { headers: { contentType: "text/x" }, userMetadata: [] }, tags: [], checksum: undefined },
  ...{ acl: undefined, initiator: undefined, lock: undefined },
} as const

async function uploading({ world, bucket }: Scene, key: string, parts: readonly Uint8Array[]) {
  const { multipart } = world.services
  const target = { bucket, key: objectKeyOfText(key) }
  const { multipartId } = await multipart.create({ ...target, ...UPLOAD })
  const completed = []
  for (const [i, bytes] of parts.entries()) {
    const body = sourceOf(bytes)
    const { etag } = await multipart.putPart({ ...target, multipartId, partNumber: i + 1, body, signal: never })
    completed.push({ partNumber: i + 1, etag, checksum: undefined })
  }
  return multipart.complete({ ...target, multipartId, ...COMPLETE, parts: completed })
}

const upload = (scene: Scene, key: string, parts: readonly Uint8Array[]) =>
  scene.world.clock.runUntil(uploading(scene, key, parts))

const partsOf = async ({ world, bucket }: Scene, key: string) => {
  const page = await world.services.objects.parts({ bucket, key: objectKeyOfText(key) }, { afterPart: 0, max: 1000 })
  return page.parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])
}

async function partOf({ world, bucket }: Scene, key: string, partNumber: number): Promise<Buffer> {
  const read = async () => {
    const range = { kind: "part", partNumber } as const
    const body = await world.services.objects.get({ bucket, key: objectKeyOfText(key), conditions: {}, range })
    const pieces: Uint8Array[] = []
    for await (const piece of body.read(never)) pieces.push(Uint8Array.from(piece))
    body.close()
    return Buffer.concat(pieces)
  }
  return world.clock.runUntil(read())
}

test("parts that are known become references when the upload is completed, and stay parts", async () => {
  const scene = await opened()
  const { world } = scene
  const [first, second, third] = [PART_BYTES_MIN, PART_BYTES_MIN, 3 * BLOCK + 5].map(size => world.random.bytes(size))
  const parts = [first, second, third].flatMap(each => each ?? [])
  const whole = Buffer.concat(parts)
  const one = await upload(scene, "one", parts)
  await settle(scene)
  const before = world.needles
  const two = await upload(scene, "two", parts)
  assert.equal(two.etag, one.etag)
  await settle(scene)
  assert.equal(world.needles, before)
  assertCounted(scene)
  const changed = [must(first, "1"), world.random.bytes(PART_BYTES_MIN), must(third, "3")]
  await upload(scene, "mixed", changed)
  for (const key of ["one", "two"]) {
    assert.ok((await world.get(key)).equals(whole), key)
    assert.deepEqual(await partsOf(scene, key), await partsOf(scene, "one"))
  }
  assert.ok((await world.get("mixed")).equals(Buffer.concat(changed)))
  for (const [i, bytes] of changed.entries()) assert.ok((await partOf(scene, "mixed", i + 1)).equals(bytes), `${i}`)
  assert.deepEqual(
    (await partsOf(scene, "mixed")).map(([, size]) => size),
    changed.map(({ length }) => length),
  )
  // What was uploaded in parts and what is put at once share blocks too.
  const needles = world.needles
  await put(scene, "put", whole)
  assert.equal(world.needles, needles)
  await settle(scene)
  await world.remove("one")
  await world.remove("two")
  await settle(scene)
  assert.ok((await world.get("put")).equals(whole))
  assert.ok((await world.get("mixed")).equals(Buffer.concat(changed)))
  assertCounted(scene)
  await world.remove("put")
  await world.remove("mixed")
  await assertNothing(scene)
})
