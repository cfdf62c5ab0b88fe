/** Existing objects are encrypted while clients continue: nothing that a client sees changes, and nothing stays plain. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "../../base/assert.js"
import { objectKeyOfText, parseLogSequence, textOfObjectKey, type RowKey, type VersionId } from "../../base/ids.js"
import { KIB, PART_BYTES_MIN } from "../../base/limits.js"
import { parsePolicy } from "../../base/policy.js"
import { asPromise, type Soon } from "../../base/soon.js"
import { ALL_NEEDLES, type BlockGroup, type ShardScanPage } from "../../block/index.js"
import { TestDevices } from "../../block/testing-blocks.js"
import { Rows } from "../../device/index.js"
import { makeCodec } from "../../erasure/index.js"
import { blockCount } from "../../format/extent.js"
import { MemoryStores } from "../../seams/store/testing-memory.js"
import type { Bucket, ObjectInfo } from "../contract.js"
import { ALL_OBJECT_ROWS, extentsOf } from "../queries/extent-rows.js"
import { plainUpload, sourceOf, StoreWorld } from "../testing-services.js"
import { ENCRYPT_PLACES, inspectRow } from "./encrypt-core.js"
import { ENCRYPT_LIMITS } from "./encrypt.js"
import { REPAIR_LIMITS } from "./repair-limits.js"

const noSignal = new AbortController().signal
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
type World = StoreWorld<TestDevices>
const BLOCK_BYTES = 16 * KIB
const COMPLETE = {
  conditions: {},
  sizeBytes: undefined,
  checksum: undefined,
  checksumType: undefined,
  signal: noSignal,
}
const COPY = {
  replaceAttributes: { headers: {}, userMetadata: [] },
  replaceTags: undefined,
  checksumAlgorithm: undefined,
}

const open = (text = "ec:2+1", devices = 3): Promise<World> =>
  StoreWorld.open(new TestDevices(makeRows), makeCodec, parsePolicy(text), devices)

/** The next process, which encrypts. */
function convert(before: World, incarnation = 2): World {
  before.encrypts = true
  return before.restart(incarnation)
}

const jobOf = (world: World) => must(world.services.encrypt, "the job exists")

/** Passes until one finds nothing. */
async function encryptAll(world: World, passes = 6): Promise<void> {
  for (let pass = 0; pass < passes && !jobOf(world).report().isDone; pass += 1) {
    await world.settle("encrypt")
    await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  }
  assert.ok(jobOf(world).report().isDone, jobOf(world).progress())
}

function unsealedRows(world: World): readonly string[] {
  return ENCRYPT_PLACES.flatMap(family =>
    [...world.tablet.committed.range(family, ALL_OBJECT_ROWS)].flatMap(([rowKey, row]) =>
      inspectRow(family, rowKey, row).unsealed.map(({ kind }) => `${family} ${rowKey} ${kind}`),
    ),
  )
}

function groupsOf(world: World): readonly BlockGroup[] {
  const groups: BlockGroup[] = []
  for (let from: RowKey | undefined = ALL_NEEDLES.start; from !== undefined;) {
    const page: Soon<ShardScanPage> = world.blocks.shardScan(from)
    assert.ok(!(page instanceof Promise), "test devices answer synchronously")
    groups.push(...page.groups)
    from = page.next
  }
  return groups
}

/** Blocks that rows reference. */
function namedBlocks(world: World): ReadonlySet<string> {
  const names = new Set<string>()
  for (const family of ["parts", "segments", "current", "versions"] as const) {
    for (const [, row] of world.tablet.committed.range(family, ALL_OBJECT_ROWS)) {
      for (const extent of extentsOf(family, row)) {
        for (let block = 0; block < blockCount(extent); block += 1)
          names.add(`${extent.uploadId} ${extent.part} ${block}`)
      }
    }
  }
  return names
}

/** Once all jobs are idle: everything is encrypted, and nothing is left of the plain blocks. */
async function assertEncrypted(world: World, when: string): Promise<void> {
  await encryptAll(world)
  for (const job of ["collector", "orphans", "repair"]) await world.settle(job)
  await world.removeAborted()
  await world.clock.advance(REPAIR_LIMITS.checkEveryMs)
  await world.settle()
  assert.deepEqual(unsealedRows(world), [], when)
  const groups = groupsOf(world)
  const found = groups.map(({ uploadId, part, block }) => `${uploadId} ${part} ${block}`)
  assert.deepEqual([...found].sort(), [...namedBlocks(world)].sort(), `${when}: only referenced blocks, once each`)
  assert.equal(world.tablet.rows("releases"), 0, when)
  assert.equal(world.tablet.rows("intents"), 0, when)
}

/** What a client sees of a version. */
interface Seen {
  readonly key: string
  readonly versionId: VersionId | undefined
  readonly info: ObjectInfo
  readonly bytes: Buffer
}

async function read(world: World, bucket: Bucket, key: string, versionId?: VersionId): Promise<Seen> {
  const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(versionId && { versionId }) }
  const body = await world.services.objects.get(target)
  const pieces: Uint8Array[] = []
  for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
  return { key, versionId, info: body.info, bytes: Buffer.concat(pieces) }
}

const bucketOf = (world: World): Promise<Bucket> =>
  world.clock.runUntil(asPromise(() => world.services.buckets.open(world.home.name)))

/** All versions of all keys. */
async function everything(world: World): Promise<readonly Seen[]> {
  const bucket = await bucketOf(world)
  const page = { bucket, prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 1_000 }
  const { entries } = await world.clock.runUntil(world.services.objects.listVersions(page))
  const seen: Seen[] = []
  for (const entry of entries) {
    if (entry.kind !== "version") continue
    const key = textOfObjectKey(entry.object.key)
    seen.push(await world.clock.runUntil(read(world, bucket, key, entry.versionId)))
  }
  return seen
}

async function assertSame(world: World, before: readonly Seen[], when: string): Promise<void> {
  const now = await everything(world)
  assert.deepEqual(
    now.map(({ key, versionId, info }) => ({ key, versionId, info })),
    before.map(({ key, versionId, info }) => ({ key, versionId, info })),
    when,
  )
  for (const [i, { key, bytes }] of now.entries())
    assert.ok(bytes.equals(must(before[i], "as many").bytes), `${key} ${when}`)
}

async function putSome(world: World): Promise<void> {
  for (const [i, size] of [0, 1, 4_096, 4_097, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 5, 70_000].entries())
    await world.put(`key${i}`, world.random.bytes(size))
}

/** Parts of an upload. */
async function putParts(world: World, key: string, bodies: readonly Uint8Array[]) {
  const { multipart } = world.services
  const bucket = await bucketOf(world)
  const { multipartId } = await world.clock.runUntil(multipart.create(plainUpload(bucket, objectKeyOfText(key))))
  const target = { bucket, key: objectKeyOfText(key), multipartId }
  const parts = []
  for (const [i, bytes] of bodies.entries()) {
    const part = { ...target, partNumber: 2 * i + 1, body: sourceOf(bytes, 100_000), signal: noSignal }
    const { etag } = await world.clock.runUntil(multipart.putPart(part))
    parts.push({ partNumber: 2 * i + 1, etag, checksum: undefined })
  }
  return { target, parts, bytes: Buffer.concat(bodies) }
}

async function putMultipart(world: World, key: string, sizes: readonly number[]): Promise<void> {
  const { target, parts } = await putParts(
    world,
    key,
    sizes.map(size => world.random.bytes(size)),
  )
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts, ...COMPLETE }))
}

/** A copy onto itself, which shares the bytes. */
async function share(world: World, key: string): Promise<void> {
  const target = { bucket: await bucketOf(world), key: objectKeyOfText(key), conditions: {} }
  await world.clock.runUntil(world.services.objects.copy({ ...target, source: target, ...COPY, signal: noSignal }))
}

test("objects of every kind read the same before, while and after they are encrypted, and no plain bytes are left", async () => {
  const before = await open()
  await before.services.buckets.setVersioning(before.home, "enabled")
  await putSome(before)
  await before.put("key3", before.random.bytes(30_000))
  await before.put("key1", before.random.bytes(5))
  await share(before, "key6")
  await share(before, "key6")
  await putMultipart(before, "large", [PART_BYTES_MIN + 100, PART_BYTES_MIN, 12_345])
  await share(before, "large")
  const openUpload = await putParts(before, "unfinished", [before.random.bytes(PART_BYTES_MIN + 1)])
  const seen = await everything(before)
  const world = convert(before)
  assert.ok(unsealedRows(world).length > 10)
  const job = world.job("encrypt")
  for (let steps = 0; (await world.clock.runUntil(job.step(noSignal))) === "busy"; steps += 1) {
    if (steps % 400 === 7) await assertSame(world, seen, `in step ${steps}`)
  }
  await assertSame(world, seen, "after a pass")
  await assertEncrypted(world, "in the end")
  await assertSame(world, seen, "in the end")
  assert.deepEqual(jobOf(world).report().troubles, [])
  const { target, parts, bytes } = openUpload
  const second = world.random.bytes(20_000)
  const part = { ...target, partNumber: 3, body: sourceOf(second), signal: noSignal }
  const { etag } = await world.clock.runUntil(world.services.multipart.putPart(part))
  assert.deepEqual(unsealedRows(world), [], "new parts of an upload from before are encrypted")
  const all = [...parts, { partNumber: 3, etag, checksum: undefined }]
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts: all, ...COMPLETE }))
  assert.ok((await world.get("unfinished")).equals(Buffer.concat([bytes, second])))
})
