/** A store with a bucket whose small objects are packed, for tests. */
import assert from "node:assert/strict"
import { must } from "../../base/assert.js"
import type { Family } from "../../base/families.js"
import { objectKeyOfText, rowKeyOf, type RowKey } from "../../base/ids.js"
import { KIB } from "../../base/limits.js"
import type { PackingSetting } from "../../format/packing-rows.js"
import { decodeSegment } from "../../format/records.js"
import { decodeReferences, type ReferencesRecord } from "../../format/references-record.js"
import { bucketIdOfRowKey } from "../../format/row-key.js"
import type { MetadataRow } from "../../metadata/index.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { Bucket, PutResult } from "../contract.js"
import { open, type World } from "../jobs/testing-repair.js"
import { ALL_OBJECT_ROWS } from "../queries/extent-rows.js"
import { referencesRowKey, sourcesOf } from "../queries/manifest-core.js"
import { sourceOf } from "../testing-services.js"

export const never = new AbortController().signal
const COLD_AT_ONCE: PackingSetting = { afterSeconds: 0, maxBytes: 65_536 }
/** The block size of these stores: objects of up to an eighth are packed. */
const BLOCK = 128 * KIB
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

export interface Scene {
  world: World
  bucket: Bucket
}

export async function opened(
  policy = "ec:2+1",
  setting: PackingSetting | undefined = COLD_AT_ONCE,
  {
    devices,
    behind,
    blockBytes = BLOCK,
  }: { devices?: number; behind?: (disk: Disk) => Disk; blockBytes?: number } = {},
): Promise<Scene> {
  const world = await open(policy, devices, blockBytes, behind)
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  if (setting !== undefined) await clock.runUntil(services.packing.set(home, setting))
  return { world, bucket: await services.buckets.open(home.name) }
}

/** A setting that was changed elsewhere is seen. */
export async function renew(scene: Scene): Promise<void> {
  scene.bucket = await scene.world.services.buckets.open(scene.bucket.name)
}

export const putting = ({ world, bucket }: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket })

export const put = (scene: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  scene.world.clock.runUntil(putting(scene, key, bytes))

export const keyOf = (i: number): string => `k${String(i).padStart(4, "0")}`

/** Objects with different bytes and lengths, by their keys. */
export async function putMany(scene: Scene, count: number, bytesOf: (i: number) => number, from = 0) {
  const bodies = new Map<string, Buffer>()
  for (let i = from; i < from + count; i += 1) bodies.set(keyOf(i), Buffer.from(scene.world.random.bytes(bytesOf(i))))
  for (const [key, bytes] of bodies) await put(scene, key, bytes)
  return bodies
}

/** A new pass over the bucket, from its beginning to its end. */
export async function pass(scene: Scene): Promise<void> {
  const { clock } = scene.world
  await clock.advance(90_000)
  await scene.world.settle("packing")
}

export const rowsIn = ({ world }: Scene, family: Family): readonly (readonly [RowKey, MetadataRow])[] => [
  ...world.tablet.committed.range(family, family === "releases" || family === "packing" ? ALL : ALL_OBJECT_ROWS),
]

export const packsIn = (scene: Scene): readonly ReferencesRecord[] =>
  rowsIn(scene, "references").flatMap(([, { value }]) => {
    const record = decodeReferences(value)
    return record.pack !== undefined && record.count > 0 ? [record] : []
  })

/** Checks that counts match the references. */
export function assertExact(scene: Scene): void {
  const found = new Map<string, number>()
  for (const [rowKey, { value }] of rowsIn(scene, "segments"))
    for (const source of sourcesOf(decodeSegment(value))) {
      const name = referencesRowKey(bucketIdOfRowKey(rowKey), source)
      found.set(name, (found.get(name) ?? 0) + 1)
    }
  const counted = new Map<string, number>()
  for (const [rowKey, { value }] of rowsIn(scene, "references")) {
    const { count } = decodeReferences(value)
    if (count > 0) counted.set(rowKey, count)
  }
  assert.deepEqual(counted, found)
}

/** Runs the jobs that remove unreferenced bytes. */
export async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}

export async function assertBodies({ world }: Scene, bodies: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), `${key} has other bytes`)
}

/** Checks that nothing is left of objects that are gone. */
export async function assertNothing(scene: Scene): Promise<void> {
  await settle(scene)
  for (const family of ["segments", "releases", "references"] as const)
    assert.equal(rowsIn(scene, family).length, 0, family)
  assert.equal(scene.world.needles, 0)
}

export const removing = ({ world, bucket }: Scene, key: string) =>
  world.services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} })

export const bodyIn = (bodies: ReadonlyMap<string, Buffer>, i: number): Buffer =>
  must(bodies.get(keyOf(i)), "it was put")
