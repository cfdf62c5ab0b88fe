/** A store with a bucket that is deduplicated, for tests. */
import { DEDUP_SERVICES } from "./index.js"
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { objectKeyOfText, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { decodeBlockDigests, decodeBlockPlace } from "@hayloft/engine/format/objects/dedup-rows.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { bucketIdOfRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import type { MetadataRow } from "@hayloft/engine/metadata/index.js"
import { offsetOfRow, placesOf } from "@hayloft/objects/commands/block-digests-core.js"
import type { Bucket, PutResult } from "@hayloft/objects/contract.js"
import { COMPLETE } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { referencesRowKey, sourcesOf } from "@hayloft/objects/queries/manifest-core.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

export const never = new AbortController().signal
/** The block size of test stores. */
export const BLOCK = 16 * KIB
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const UPLOAD = {
  attributes: { headers: { contentType: "text/x" }, userMetadata: [] },
  tags: [],
  checksum: undefined,
  acl: undefined,
  initiator: undefined,
  lock: undefined,
} as const

export interface Scene {
  world: World
  bucket: Bucket
}

export async function opened(policy = "ec:2+1"): Promise<Scene> {
  const world = await open(policy)
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  await clock.runUntil(DEDUP_SERVICES.of(services.core).dedup.setDedup(home, true))
  return { world, bucket: await services.buckets.open(home.name) }
}

export const putting = ({ world, bucket }: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket })

export const put = (scene: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  scene.world.clock.runUntil(putting(scene, key, bytes))

export async function uploading(
  { world, bucket }: Scene,
  key: string,
  parts: readonly Uint8Array[],
): Promise<PutResult> {
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

export const copying = async ({ world, bucket }: Scene, from: string, to: string): Promise<PutResult> =>
  world.services.objects.copy({
    bucket,
    key: objectKeyOfText(to),
    conditions: {},
    signal: never,
    source: { bucket, key: objectKeyOfText(from), conditions: {} },
    replaceAttributes: undefined,
    replaceTags: undefined,
    checksumAlgorithm: undefined,
  })

export const rowsIn = ({ world }: Scene, family: Family): readonly (readonly [RowKey, MetadataRow])[] => [
  ...world.tablet.committed.range(family, ALL),
]

/** Runs the jobs that remove unreferenced bytes. */
export async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}

/** Checks that counts match the references. */
export function assertCounted(scene: Scene): void {
  const found = new Map<string, number>()
  for (const [rowKey, { value }] of rowsIn(scene, "segments")) {
    for (const source of sourcesOf(decodeSegment(value))) {
      const name = referencesRowKey(bucketIdOfRowKey(rowKey), source)
      found.set(name, (found.get(name) ?? 0) + 1)
    }
  }
  const counted = new Map<string, number>()
  for (const [rowKey, { value }] of rowsIn(scene, "references")) {
    const { count } = decodeReferences(value)
    if (count > 0) counted.set(rowKey, count)
  }
  assert.deepEqual(counted, found)
}

/** Checks that counts match the references, and that the index names blocks with these digests. */
export function assertExact(scene: Scene): void {
  assertCounted(scene)
  const digests = new Map<string, string>()
  const ends = new Map<string, number>()
  // The stored order has the highest offsets first.
  for (const [rowKey, { value }] of rowsIn(scene, "blockDigests").toReversed()) {
    const [name, offsetBytes] = [uploadOfPartRowKey(rowKey), offsetOfRow(rowKey)]
    assert.ok((ends.get(name) ?? 0) <= offsetBytes, "no block has two digests")
    ends.set(name, offsetBytes + decodeBlockDigests(value).lengthBytes)
  }
  for (const [rowKey, { value }] of rowsIn(scene, "blockDigests"))
    for (const place of placesOf(rowKey, decodeBlockDigests(value)))
      digests.set(`${place.key} ${place.multipartId} ${place.offsetBytes}`, hexOf(place.digest))
  for (const [rowKey, { value }] of rowsIn(scene, "blockIndex")) {
    const { key, multipartId, offsetBytes } = decodeBlockPlace(value)
    const digest = must(digests.get(`${key} ${multipartId} ${offsetBytes}`), "the index names digests that are there")
    assert.ok(rowKey.endsWith(Buffer.from(digest, "hex").toString("latin1")), "the index names a block of this digest")
  }
}

/** Checks that nothing is left of objects that are gone. */
export async function assertNothing(scene: Scene): Promise<void> {
  await settle(scene)
  for (const family of ["segments", "pendingDeletions", "parts", "references", "blockDigests", "blockIndex"] as const)
    assert.equal(rowsIn(scene, family).length, 0, family)
  assert.equal(scene.world.needles, 0)
}
