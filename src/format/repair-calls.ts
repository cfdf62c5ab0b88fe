/**
 * Repair visits, version 1: the node that coordinates repair asks another one to visit a partition, and receives what
 * the visit did and found. Call 18 (`repairVisit`): the request is the visit, the body of the response its outcome.
 *
 * Positional MessagePack arrays, as are the lists in them (`pack.ts`); null stands for none. Device ids (8 bytes) and
 * upload ids (16 bytes) are bytes, lists of them one after another. Later releases append members; readers ignore
 * members that they do not know.
 *
 *   visit     partition; generation of the control record; version of the layout; devices that are offline; uploads
 *             that no device waits for any more
 *   outcome   shards written; bytes written; flags: 1 a device is full, 2 a device does not respond; remaining work or
 *             null: kind, spare shards, bytes; uploads passed over; names of unreadable blocks; uploads with such
 *             blocks: upload, bucket id, key; unreferenced blocks; count; uploads of the visiting process that it does not
 *             hold, and no row references
 *   block     needle key of slot 0 (27 bytes); policy and block length or null; shards and damaged shards, each a list
 *             of slot, device, length; bucket id and key of the owner
 *   count     policies with bytes; misplaced groups: needed shards, devices, bytes; devices that lack shards; that lack
 *             some perhaps; that lack some that cannot be rebuilt; blocks with a single copy
 *
 * Refuses   Anything malformed with `corruptRecord`.
 * Limits    A visit names VISIT_DEVICES_MAX devices and VISIT_UPLOADS_MAX uploads at most.
 */
import { assert, must } from "../base/assert.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { fail, isFailure } from "../base/failures.js"
import {
  bytesOfByteString,
  objectKeyOfBytes,
  parseBucketId,
  parseDeviceId,
  parsePartitionId,
  parseUploadId,
  type DeviceId,
  type PartitionId,
  type UploadId,
} from "../base/ids.js"
import { parsePolicy, textOfPolicy } from "../base/policy.js"
import {
  NEEDLE_KEY_BYTES,
  readNeedleKey,
  writeNeedleKey,
  type NeedleId,
  type NeedleOwner,
  type ShardShape,
} from "./needle.js"
import { packRecord, pick, RecordReader } from "./pack.js"

export const REPAIR_VISIT_CALL = 18
export const VISIT_DEVICES_MAX = 4_096
export const VISIT_UPLOADS_MAX = 1_024

const DEVICE_BYTES = 8
const UPLOAD_BYTES = 16

/** Numbers are on the wire: append only. */
const KINDS = ["mend", "move"] as const
const FULL = 1
const WAITING = 2

export interface RepairVisit {
  readonly partition: PartitionId
  /** The visit is decided on this control record and this layout. */
  readonly generation: number
  readonly layoutVersion: number
  /** Devices that the coordinator cannot use, also because it cannot reach them. */
  readonly offline: readonly DeviceId[]
  /** Young uploads that no device waits for any more. */
  readonly longPassedOver: readonly UploadId[]
}

interface RepairShard {
  readonly slot: number
  readonly deviceId: DeviceId
  readonly bodyBytes: number
}

/** A block that no row references. */
export interface UnreferencedBlock {
  readonly group: Omit<NeedleId, "slot"> & {
    readonly shape: ShardShape | undefined
    readonly shards: readonly RepairShard[]
    readonly damaged: readonly RepairShard[]
  }
  readonly owner: NeedleOwner
}

/** Where the shards of a partition are. */
export interface RepairCount {
  readonly partition: number
  readonly bytesByPolicy: ReadonlyMap<string, number>
  readonly misplaced: ReadonlyMap<
    string,
    {
      readonly partition: number
      /** Shards that a read needs. */
      readonly needed: number
      readonly devices: readonly DeviceId[]
      /** Bytes of the blocks, not of their shards. */
      readonly bytes: number
    }
  >
  readonly lackingOn: ReadonlySet<DeviceId>
  /** Devices that lack shards if a doubtful block turns out to be referenced. */
  readonly perhapsLackingOn: ReadonlySet<DeviceId>
  /** Devices that lack shards of blocks that cannot be rebuilt: repair cannot supply them now. */
  readonly unrebuildableOn: ReadonlySet<DeviceId>
  readonly singles: number
}

export interface RepairOutcome {
  readonly writtenShards: number
  readonly writtenBytes: number
  /** A device has no space. */
  readonly isFull: boolean
  /** A device that takes part lacks a shard and does not respond now. */
  readonly isWaiting: boolean
  /** Remaining work; undefined: nothing that could be done now. */
  readonly left:
    | { readonly kind: (typeof KINDS)[number]; readonly spareShards: number; readonly bytes: number }
    | undefined
  /** Held or young uploads that were not whole: visited again once they are released. */
  readonly passedOver: ReadonlySet<UploadId>
  /** Names of blocks that rows reference and that have too few shards left. */
  readonly unreadable: ReadonlySet<string>
  /** The uploads of these. */
  readonly unreadableUploads: readonly (NeedleOwner & { readonly uploadId: UploadId })[]
  readonly unreferenced: readonly UnreferencedBlock[]
  readonly count: RepairCount
  /** Uploads of the process that made the visit: it does not hold them any more, and no row references them. */
  readonly abandoned: ReadonlySet<UploadId>
}

export function encodeRepairVisit(visit: RepairVisit): Uint8Array {
  const { partition, generation, layoutVersion, offline, longPassedOver } = visit
  assert(offline.length <= VISIT_DEVICES_MAX, "a store has a limited number of devices")
  assert(longPassedOver.length <= VISIT_UPLOADS_MAX, "a visit names a limited number of uploads")
  return packRecord(1, [partition, generation, layoutVersion, packIds(offline), packIds(longPassedOver)])
}

/** Throws `corruptRecord`. */
export const decodeRepairVisit = (bytes: Uint8Array): RepairVisit =>
  reading("repair visit", bytes, row => ({
    ...{ partition: parsePartitionId(row.number()), generation: row.number(), layoutVersion: row.number() },
    ...{ offline: readDevices(row), longPassedOver: readUploads(row) },
  }))

export function encodeRepairOutcome(outcome: RepairOutcome): Uint8Array {
  const { writtenShards, writtenBytes, isFull, isWaiting, left, passedOver, unreadable } = outcome
  const { unreadableUploads, unreferenced, count, abandoned } = outcome
  return packRecord(1, [
    ...[writtenShards, writtenBytes, (isFull ? FULL : 0) | (isWaiting ? WAITING : 0)],
    left === undefined ? null : [KINDS.indexOf(left.kind), left.spareShards, left.bytes],
    ...[packIds([...passedOver]), [...unreadable]],
    unreadableUploads.map(({ uploadId, ...owner }) => [packIds([uploadId]), ...packOwner(owner)]),
    unreferenced.map(packBlock),
    packCount(count),
    ...(abandoned.size > 0 ? [packIds([...abandoned])] : []),
  ])
}

/** The outcome of a visit to this partition. Throws `corruptRecord`. */
export const decodeRepairOutcome = (bytes: Uint8Array, partition: PartitionId): RepairOutcome =>
  reading("repair outcome", bytes, row => {
    const [writtenShards, writtenBytes, flags] = [row.number(), row.number(), row.number()]
    const left = row.optional(() => readLeft(row.row()))
    const passedOver = new Set(readUploads(row))
    const unreadable = new Set(row.texts())
    const unreadableUploads = row.rows(upload => ({ uploadId: readUpload(upload), ...readOwner(upload) }))
    return {
      ...{ writtenShards, writtenBytes, isFull: (flags & FULL) !== 0, isWaiting: (flags & WAITING) !== 0, left },
      ...{ passedOver, unreadable, unreadableUploads },
      unreferenced: row.rows(block => readBlock(block, partition)),
      count: readCount(row.row(), partition),
      abandoned: new Set(row.optional(() => readUploads(row))),
    }
  })

const readLeft = (row: RecordReader): NonNullable<RepairOutcome["left"]> => ({
  ...{ kind: pick(KINDS, row.number(), "remaining work"), spareShards: row.number(), bytes: row.number() },
})

function packBlock({ group, owner }: UnreferencedBlock): readonly unknown[] {
  const { shape, shards, damaged, ...block } = group
  const key = new Uint8Array(NEEDLE_KEY_BYTES)
  writeNeedleKey({ ...block, slot: 0 }, key, 0)
  const known = shape === undefined ? null : [textOfPolicy(shape.policy), shape.blockLengthBytes]
  return [key, known, packShards(shards), packShards(damaged), ...packOwner(owner)]
}

const packShards = (shards: readonly RepairShard[]): readonly unknown[] =>
  shards.map(({ slot, deviceId, bodyBytes }) => [slot, packIds([deviceId]), bodyBytes])

function readBlock(row: RecordReader, partition: PartitionId): UnreferencedBlock {
  const key = row.bytes()
  if (key.length !== NEEDLE_KEY_BYTES) throw corrupt("needle key")
  const { slot, ...block } = readNeedleKey(key, 0)
  if (slot !== 0 || block.partition !== partition) throw corrupt("needle key")
  const shape = row.optional(() => readShape(row.row()))
  const [shards, damaged] = [row.rows(readShard), row.rows(readShard)]
  return { group: { ...block, shape, shards, damaged }, owner: readOwner(row) }
}

const readShape = (row: RecordReader): ShardShape => ({
  policy: parsePolicy(row.text()),
  blockLengthBytes: row.number(),
})

const readShard = (row: RecordReader): RepairShard => ({
  ...{ slot: row.number(), deviceId: readDevice(row), bodyBytes: row.number() },
})

const packOwner = ({ bucketId, key }: NeedleOwner): readonly unknown[] => [bucketId, bytesOfByteString(key)]

const readOwner = (row: RecordReader): NeedleOwner => ({
  bucketId: parseBucketId(row.number()),
  key: objectKeyOfBytes(row.bytes()),
})

const packCount = (count: RepairCount): readonly unknown[] => [
  [...count.bytesByPolicy],
  Array.from(count.misplaced.values(), ({ needed, devices, bytes }) => [needed, packIds(devices), bytes]),
  ...[packIds([...count.lackingOn]), packIds([...count.perhapsLackingOn]), packIds([...count.unrebuildableOn])],
  count.singles,
]

function readCount(row: RecordReader, partition: PartitionId): RepairCount {
  const policies = row.rows(each => [textOfPolicy(parsePolicy(each.text())), each.number()] as const)
  const misplaced = row.rows(each => ({
    partition,
    ...{ needed: each.number(), devices: readDevices(each), bytes: each.number() },
  }))
  return {
    ...{ partition, bytesByPolicy: new Map(policies) },
    misplaced: new Map(misplaced.map(group => [`${group.needed} ${group.devices.join(" ")}`, group])),
    ...{ lackingOn: new Set(readDevices(row)), perhapsLackingOn: new Set(readDevices(row)) },
    ...{ unrebuildableOn: new Set(readDevices(row)), singles: row.number() },
  }
}

const packIds = (ids: readonly (DeviceId | UploadId)[]): Uint8Array =>
  must(bytesOfHex(ids.join("")), "these ids are hex")

const readDevices = (row: RecordReader): readonly DeviceId[] => readIds(row, DEVICE_BYTES).map(parseDeviceId)
const readUploads = (row: RecordReader): readonly UploadId[] => readIds(row, UPLOAD_BYTES).map(parseUploadId)
const readDevice = (row: RecordReader): DeviceId => parseDeviceId(hexOf(row.bytes()))
const readUpload = (row: RecordReader): UploadId => parseUploadId(hexOf(row.bytes()))

function readIds(row: RecordReader, idBytes: number): readonly string[] {
  const text = hexOf(row.bytes())
  const digits = 2 * idBytes
  if (text.length % digits !== 0) throw corrupt("ids")
  return Array.from({ length: text.length / digits }, (_, i) => text.slice(i * digits, (i + 1) * digits))
}

const corrupt = (field: string) => fail("corruptRecord", { what: "repair visit", field })

function reading<T>(what: string, bytes: Uint8Array, read: (row: RecordReader) => T): T {
  try {
    return read(RecordReader.open(what, bytes, 1))
  } catch (error) {
    throw isFailure(error, "corruptRecord") ? error : fail("corruptRecord", { what }, error)
  }
}
