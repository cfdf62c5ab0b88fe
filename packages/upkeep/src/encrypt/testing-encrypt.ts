/** Stores whose objects are encrypted, what clients see of them, and what must be true in the end: for tests of the job. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, textOfObjectKey, type RowKey, type VersionId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { ALL_NEEDLES, type BlockGroup, type ShardScanPage } from "@hayloft/engine/block/index.js"
import { blockCount } from "@hayloft/engine/format/needles/extent.js"
import type { Bucket, ObjectInfo } from "@hayloft/objects/contract.js"
import { decodeIntent } from "@hayloft/engine/format/objects/intent.js"
import { ALL_OBJECT_ROWS, EXTENT_FAMILIES, extentsOf } from "@hayloft/objects/queries/extent-rows.js"
import { plainUpload, sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { ENCRYPT_PLACES, inspectRow } from "./encrypt-core.js"
import { ENCRYPT_LIMITS } from "./encrypt.js"
import { REPAIR_LIMITS } from "../repair/repair-limits.js"
import { noSignal, type World } from "../repair/testing-repair.js"

export const BLOCK_BYTES = 16 * KIB
export const COMPLETE = {
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

/** The next process, which encrypts. */
export function convert(before: World, incarnation = 2): World {
  before.encrypts = true
  return before.restart(incarnation)
}

export const jobOf = (world: World) => must(world.services.encrypt, "the job exists")

/** Passes until one finds nothing. */
export async function encryptAll(world: World, passes = 6): Promise<void> {
  for (let pass = 0; pass < passes && !jobOf(world).report().isDone; pass += 1) {
    await world.settle("encrypt")
    await world.clock.advance(ENCRYPT_LIMITS.retryMsMax)
  }
  assert.ok(jobOf(world).report().isDone, jobOf(world).progress())
}

export function unsealedRows(world: World): readonly string[] {
  return [...new Set(ENCRYPT_PLACES)].flatMap(family =>
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
  for (const family of EXTENT_FAMILIES) {
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
export async function assertEncrypted(world: World, when: string): Promise<void> {
  await encryptAll(world)
  for (const job of ["collector", "orphans", "repair"]) await world.settle(job)
  await world.removeAborted()
  await world.clock.advance(REPAIR_LIMITS.checkEveryMs)
  await world.settle()
  assert.deepEqual(unsealedRows(world), [], when)
  const groups = groupsOf(world)
  const found = groups.map(({ uploadId, part, block }) => `${uploadId} ${part} ${block}`)
  assert.deepEqual([...found].sort(), [...namedBlocks(world)].sort(), `${when}: only referenced blocks, once each`)
  assert.equal(world.tablet.rows("pendingDeletions"), 0, when)
  const intents = [...world.tablet.committed.range("intents", ALL_OBJECT_ROWS)].map(([, row]) =>
    decodeIntent(row.value),
  )
  assert.ok(!intents.some(({ state }) => state === "underWay"), when)
}

/** A version as a client sees it. */
interface Seen {
  readonly key: string
  readonly versionId: VersionId | undefined
  readonly info: ObjectInfo
  readonly bytes: Buffer
}

export async function read(world: World, bucket: Bucket, key: string, versionId?: VersionId): Promise<Seen> {
  const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(versionId && { versionId }) }
  const body = await world.services.objects.get(target)
  const pieces: Uint8Array[] = []
  for await (const piece of body.read(noSignal)) pieces.push(piece.slice())
  return { key, versionId, info: body.info, bytes: Buffer.concat(pieces) }
}

export const bucketOf = (world: World): Promise<Bucket> =>
  world.clock.runUntil(asPromise(() => world.services.buckets.open(world.home.name)))

/** All versions of all keys. */
export async function everything(world: World): Promise<readonly Seen[]> {
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

export async function assertSame(world: World, before: readonly Seen[], when: string): Promise<void> {
  const now = await everything(world)
  assert.deepEqual(
    now.map(({ key, versionId, info }) => ({ key, versionId, info })),
    before.map(({ key, versionId, info }) => ({ key, versionId, info })),
    when,
  )
  for (const [i, { key, bytes }] of now.entries())
    assert.ok(bytes.equals(must(before[i], "as many").bytes), `${key} ${when}`)
}

export async function putSome(world: World): Promise<void> {
  for (const [i, size] of [0, 1, 4_096, 4_097, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 5, 70_000].entries())
    await world.put(`key${i}`, world.random.bytes(size))
}

/** Parts of an upload. */
export async function putParts(world: World, key: string, bodies: readonly Uint8Array[]) {
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

export async function putMultipart(world: World, key: string, sizes: readonly number[]): Promise<void> {
  const { target, parts } = await putParts(
    world,
    key,
    sizes.map(size => world.random.bytes(size)),
  )
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts, ...COMPLETE }))
}

/** A copy onto itself, which shares the bytes. */
export async function share(world: World, key: string): Promise<void> {
  const target = { bucket: await bucketOf(world), key: objectKeyOfText(key), conditions: {} }
  await world.clock.runUntil(world.services.objects.copy({ ...target, source: target, ...COPY, signal: noSignal }))
}
