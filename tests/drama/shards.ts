/**
 * Compares where the shards of a stopped store are, by the indexes of its devices, with the layout in its control
 * record.
 *
 * Limits  The store must have been stopped cleanly: entries that are only in its log are not read.
 */
import { open } from "node:fs/promises"
import { join } from "node:path"
import { rowKeyOf, type DeviceId } from "@hayloft/base/ids.js"
import { shardCount, textOfPolicy } from "@hayloft/base/policy.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import {
  newestControlRecord,
  readControlRecord,
  readSuperblock,
  type PresentDevice,
} from "@hayloft/engine/device/index.js"
import { decodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import {
  decodeNeedleHeader,
  decodeNeedlePlace,
  decodeShardShape,
  needleIdOfKey,
  type NeedlePlace,
} from "@hayloft/engine/format/needles/needle.js"
import { blockCount } from "@hayloft/engine/format/needles/extent.js"
import { storePrefixEnd, storePrefixOf } from "@hayloft/engine/format/device/replica-incarnation.js"
import { blockShape } from "@hayloft/engine/block/index.js"
import { foldersOf } from "@hayloft/node/devices/folders.js"
import { EXTENT_FAMILIES, extentsOf } from "@hayloft/objects/queries/extent-rows.js"
import { slotsOf } from "@hayloft/engine/placement/index.js"
import type { PartitionId } from "@hayloft/base/ids.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { TableStores } from "@hayloft/engine/table/index.js"

const PROBLEMS_MAX = 20
const ALL_ROWS = { start: rowKeyOf("\0"), end: rowKeyOf("\xff".repeat(64)) }

/** A block of one generation. */
export interface StoredBlock {
  readonly partition: PartitionId
  /** The number of its bucket: the bucket that was created first has the lowest. */
  readonly bucket: number
  readonly policy: string
  readonly shards: number
  readonly bodyBytes: number
  /** By slot, the devices that store the shard. */
  readonly slots: Map<number, DeviceId[]>
}

export interface Shards {
  readonly record: ControlRecord
  /** Referenced blocks, by upload, part, block and generation. */
  readonly blocks: ReadonlyMap<string, StoredBlock>
  /** Unreferenced blocks. */
  readonly unnamed: readonly string[]
  /** By block, the devices that its reference lists: it was written while another one of its partition was away. */
  readonly placed: ReadonlyMap<string, ReadonlyMap<number, DeviceId>>
  /** Referenced blocks without a shard. */
  readonly missing: readonly string[]
  /** Places in the indexes: `placeName` of each needle of a referenced block. */
  readonly live: ReadonlySet<string>
}

export const placeName = (file: string, offsetBytes: number): string => `${file} at ${offsetBytes}`

const fileOf = (folder: string, volume: number): string =>
  join(foldersOf(folder).volumes, `${String(volume).padStart(10, "0")}.volume`)

async function presentIn(folders: readonly string[]): Promise<PresentDevice[]> {
  const disk = new RealDisk()
  const present = []
  for (const folder of folders) {
    const superblock = await readSuperblock(disk, folder)
    if (superblock === undefined) continue
    const { deviceId: id, storeId } = superblock
    present.push({ id, storeId, path: folder, record: await readControlRecord(disk, folder) })
  }
  return present
}

async function addDevice(
  { blocks, places }: { readonly blocks: Map<string, StoredBlock>; readonly places: Map<string, string> },
  id: DeviceId,
  folder: string,
): Promise<void> {
  const store = await new TableStores().openReader(foldersOf(folder).metadataStore, {
    disk: new RealDisk(),
    deviceId: id,
  })
  try {
    for (const [key, stored] of store.range("needles", ALL_ROWS)) {
      const { value } = decodeStoredRow("needles", key, stored)
      const [{ partition, uploadId, part, block, generation, slot }, shape] = [
        needleIdOfKey(key),
        decodeShardShape(value),
      ]
      if (shape === undefined) throw new Error("a row of the first version")
      const name = `${uploadId}/${part}/${block}/${generation}`
      const place = decodeNeedlePlace(value)
      places.set(placeName(fileOf(folder, place.volume), place.offsetBytes), name)
      const found: StoredBlock = blocks.get(name) ?? {
        partition,
        bucket: await bucketOf(folder, place),
        policy: textOfPolicy(shape.policy),
        shards: shardCount(shape.policy),
        bodyBytes: place.bodyBytes,
        slots: new Map(),
      }
      blocks.set(name, found)
      found.slots.set(slot, [...(found.slots.get(slot) ?? []), id])
    }
  } finally {
    await store.close()
  }
}

async function bucketOf(folder: string, { volume, offsetBytes, headerBytes }: NeedlePlace): Promise<number> {
  const file = await open(fileOf(folder, volume))
  try {
    const { buffer } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, offsetBytes)
    const header = decodeNeedleHeader(buffer)
    if (header.kind !== "shard") throw new Error("an index entry refers to no shard")
    return header.owner.bucketId
  } finally {
    await file.close()
  }
}

/** Returns every block that the rows of a replica reference, with the devices that they list for slots. */
async function namedBlocks(record: ControlRecord, present: readonly PresentDevice[]) {
  const [tablet] = record.tablets
  const replica = tablet?.replicas.find(({ id }) => present.some(device => device.id === id))
  const folder = present.find(({ id }) => id === replica?.id)?.path
  if (replica === undefined || folder === undefined) throw new Error("none of the folders has a metadata replica")
  const range = { start: rowKeyOf(storePrefixOf(replica.since)), end: rowKeyOf(storePrefixEnd(replica.since)) }
  const named = new Map<string, ReadonlyMap<number, DeviceId>>()
  const host = { disk: new RealDisk(), deviceId: replica.id }
  const store = await new TableStores().openReader(foldersOf(folder).metadataStore, host)
  try {
    for (const family of EXTENT_FAMILIES) {
      for (const [key, stored] of store.range(family, range)) {
        const { value } = decodeStoredRow(family, key, stored)
        for (const extent of extentsOf(family, { value, payload: undefined })) {
          for (let block = 0; block < blockCount(extent); block += 1) {
            const { generation, exception } = blockShape(extent, block)
            named.set(`${extent.uploadId}/${extent.part}/${block}/${generation}`, new Map(exception?.placedSlots))
          }
        }
      }
    }
  } finally {
    await store.close()
  }
  return named
}

export async function readShards(folders: readonly string[]): Promise<Shards> {
  const present = await presentIn(folders)
  const choice = newestControlRecord(present)
  if (choice === undefined) throw new Error(`no store in ${folders.join(", ")}`)
  const { record } = choice
  const found = { blocks: new Map<string, StoredBlock>(), places: new Map<string, string>() }
  for (const { id, path: folder } of present) {
    if (record.devices.some(device => device.id === id)) await addDevice(found, id, folder)
  }
  const named = await namedBlocks(record, present)
  const unnamed = [...found.blocks.keys()].filter(name => !named.has(name))
  const missing = [...named.keys()].filter(name => !found.blocks.has(name))
  for (const name of unnamed) found.blocks.delete(name)
  const live = new Set([...found.places].flatMap(([place, name]) => (named.has(name) ? [place] : [])))
  return { record, blocks: found.blocks, live, unnamed, missing, placed: named }
}

/**
 * Describes all differences: missing, misplaced or duplicate shards, policies other than those of the record or the
 * bucket, and unreferenced blocks beyond those that wait for their removal.
 */
export function problemsOf(
  { record, blocks, unnamed, missing, placed }: Shards,
  policyOfBucket: ReadonlyMap<number, string> = new Map(),
  waitingBlocks = 0,
): readonly string[] {
  const problems: string[] = []
  if (record.previousLayout !== undefined) problems.push("a layout transition is in progress")
  const layout = layoutOf(record.layout)
  if (unnamed.length > waitingBlocks) {
    problems.push(`${unnamed.length} unreferenced blocks, ${waitingBlocks} wait for removal: ${unnamed[0]}`)
  }
  if (missing.length > 0) problems.push(`${missing.length} referenced blocks have no shard: ${missing[0]}`)
  for (const [name, { partition, bucket, policy, shards, slots }] of blocks) {
    const wanted = policyOfBucket.get(bucket) ?? textOfPolicy(record.policy)
    if (policy !== wanted) problems.push(`block ${name} is stored as ${policy} instead of ${wanted}`)
    const devices = slotsOf(layout, partition)
    const listed = [...(placed.get(name) ?? [])].filter(([, id]) => devices.includes(id))
    // Rows that list devices list them for all slots. If one has left the partition, its shard is on a device that has none.
    const homes = new Map(listed.length === 0 ? devices.entries() : listed)
    const free = new Set(listed.length === 0 ? [] : devices.filter(id => !listed.some(([, taken]) => taken === id)))
    for (let slot = 0; slot < shards; slot += 1) {
      const home = homes.get(slot)
      const on = slots.get(slot) ?? []
      const [first] = on
      const isHome = first !== undefined && (home === undefined ? free.delete(first) : first === home)
      if (isHome && on.length === 1) continue
      problems.push(`block ${name} (${policy}): slot ${slot} is on [${on.join()}] instead of ${home}`)
    }
    if (problems.length >= PROBLEMS_MAX) break
  }
  return problems
}

/** Describes the final state for the analysis of a failure: the folders of a test are removed at its end. */
export async function describePlaces(folders: readonly string[]): Promise<string> {
  try {
    const shards = await readShards(folders)
    const devices = shards.record.devices.map(({ id, state, pathHint }) => `${id} ${state} ${pathHint}`)
    return ["final places of shards:", ...devices, ...problemsOf(shards)].join("\n  ")
  } catch (error) {
    return `the places of shards could not be read: ${String(error)}`
  }
}

/** Returns the bytes of shards by device. */
export function bytesByDevice({ blocks }: Shards): ReadonlyMap<DeviceId, number> {
  const bytes = new Map<DeviceId, number>()
  for (const { bodyBytes, slots } of blocks.values()) {
    for (const device of [...slots.values()].flat()) bytes.set(device, (bytes.get(device) ?? 0) + bodyBytes)
  }
  return bytes
}

/** Returns the share of all existing shards that are on another device afterwards. */
export function movedShare(before: Shards, after: Shards): number {
  let [stayed, all] = [0, 0]
  for (const [name, { slots }] of before.blocks) {
    const now = after.blocks.get(name)
    if (now === undefined) continue
    for (const [slot, devices] of slots) {
      all += 1
      if (now.slots.get(slot)?.some(device => devices.includes(device))) stayed += 1
    }
  }
  return all === 0 ? 0 : 1 - stayed / all
}
