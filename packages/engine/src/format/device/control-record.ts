/**
 * Control record, version 2: the configuration of a store. Each of its devices has a copy.
 *
 * Envelope (little-endian): magic "HLCR" (4), version (2), reserved (2), payload length (4),
 * reserved (4), XXH64 of the payload seeded by the version (8), payload. The payload is a positional
 * MessagePack array, as are the devices, tablets and layouts in it. Later releases append members: this
 * release keeps unknown members (`more`) and writes them back. Version 1, which is still read, had
 * no device states, replica incarnations, learners, automatic policies or layout transitions.
 * Ignores   Bytes behind the payload: a file that a tool has lengthened is intact.
 * Refuses   Anything malformed with `corruptRecord`; a later version with `invalidConfig`.
 */
import { Packr } from "msgpackr"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDomainName, parseEpoch, parseStoreId, parseTabletId } from "@hayloft/base/ids.js"
import { BLOCK_BYTES_MAX, DEVICES_MAX, STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import {
  appended,
  appendedRest,
  BOOLEAN,
  corruptIfRefused,
  END,
  flat,
  group,
  listOf,
  mapped,
} from "../encoding/fields.js"
import {
  nullable,
  NUMBER,
  oneOf,
  optional,
  OWN_BYTES,
  pairOf,
  parsed,
  rest,
  row,
  TEXT,
  UNKNOWN,
} from "../encoding/fields.js"
import { whole, type RecordField, type ValueOf } from "../encoding/fields.js"
import { DEVICE_ID, INCARNATION, NODE_NAME, POLICY, ROW_KEY, STORAGE_CLASS } from "../encoding/id-fields.js"
import { decodeKeyring, encodeKeyring } from "./keyring.js"
import { RecordReader } from "../encoding/pack.js"
import { FORMAT_EPOCH_FIRST, FORMAT_EPOCH_OF_KEYS } from "./superblock.js"

const TABLETS_MAX = 65_536
/** The highest generation that a needle can encode. */
export const POLICY_VERSION_MAX = 0xffff
/** The devices of the previous layout and those added since. */
const LAYOUT_DEVICES_MAX = 2 * STORE_DEVICES_MAX
const PAUSED_MAX = 64
/** A node that leaves has a device. */
const LEAVING_NODES_MAX = STORE_DEVICES_MAX
/** Numbers are on disk: append only. */
const DEVICE_STATES = ["active", "rebuilding", "offline", "draining", "decommissioning"] as const

/**
 * `active`: has every shard that the layout assigns to it. `rebuilding`: in use, but may lack some.
 * `offline`: neither read nor written until it returns, is replaced or forgotten.
 * `draining`: read while its shards move to others. `decommissioning`: as draining, then forgotten once empty.
 */
export type ControlDeviceState = (typeof DEVICE_STATES)[number]

const DOMAIN_NAME = parsed(TEXT, parseDomainName)

/** The node that serves a device, and what the device fails together with. Later releases append to the device instead. */
const HOME = row({
  node: NODE_NAME,
  /** The claim: the incarnation of the node that serves the device; 0 once the claim is released. */
  incarnation: INCARNATION,
  /** Devices without a zone are in one zone. */
  zone: nullable(DOMAIN_NAME),
  /** Within its zone. */
  machine: DOMAIN_NAME,
  /** Within its machine: equal for devices on one file system; absent if the device has a disk of its own. */
  disk: nullable(DOMAIN_NAME),
  end: flat(END),
})
export type DeviceHome = ValueOf<typeof HOME>

interface LaterOfDevice {
  /** It is offline and was decommissioning, which continues when it returns. */
  readonly wasDecommissioning?: true
  /** Set in a store of several nodes. It stays while the device is offline: its shards are still there. */
  readonly home?: DeviceHome
  readonly more: readonly unknown[]
}

/** Written up to the last one that is set. */
const LATER_OF_DEVICE: RecordField<LaterOfDevice> = {
  write: (members, { wasDecommissioning = false, home, more }) => {
    if (home === undefined && more.length === 0 && !wasDecommissioning) return
    members.push(wasDecommissioning)
    if (home === undefined && more.length === 0) return
    HOME_OR_NONE.write(members, home)
    members.push(...more)
  },
  read: reader => {
    const wasDecommissioning = !reader.isOver && BOOLEAN.read(reader)
    const home = HOME_OR_NONE.read(reader)
    return {
      ...(wasDecommissioning && { wasDecommissioning }),
      ...(home && { home }),
      more: reader.all(left => left.unknown()),
    }
  },
}
const HOME_OR_NONE = optional(HOME)

const DEVICE = row({
  id: DEVICE_ID,
  /** Above 0; a device of weight 2 gets twice the partitions of one of weight 1. */
  weight: parsed(NUMBER, parseWeight),
  /** Its last path; only the superblock identifies a device. */
  pathHint: TEXT,
  /** Its folder was a mount point: an empty folder that replaces it must be one too. */
  isMountPoint: BOOLEAN,
  state: oneOf(DEVICE_STATES),
  /** When the state was entered, by the wall clock; 0 if unknown. */
  stateSinceMs: whole(),
  /** Capacity of its file system when it joined; 0 if unknown. */
  capacityBytes: whole(),
  later: flat(LATER_OF_DEVICE),
})
export type ControlDevice = ValueOf<typeof DEVICE>

function parseWeight(weight: number): number {
  if (weight <= 0) throw corrupt("weight")
  return weight
}

/** A device's replica of a tablet. A device that left and returned is a new incarnation, with separate rows. */
const REPLICA = row({
  id: DEVICE_ID,
  /** The epoch that began it; its history contains no entries of earlier epochs. */
  since: parsed(NUMBER, parseEpoch),
})
export type ControlReplica = ValueOf<typeof REPLICA>

const TABLET = mapped(
  row({
    id: parsed(NUMBER, parseTabletId),
    epoch: parsed(NUMBER, parseEpoch),
    /** Its replicas; the first is the primary. */
    replicas: listOf(DEVICE_ID, DEVICES_MAX),
    /** Inclusive. */
    start: ROW_KEY,
    /** Exclusive; undefined means the end of all keys. */
    end: optional(ROW_KEY),
    since: listOf(parsed(NUMBER, parseEpoch), DEVICES_MAX),
    /** Devices that are becoming replicas: they log what replicas log, but do not vote yet. */
    learners: listOf(REPLICA, DEVICES_MAX),
    more: rest(UNKNOWN),
  }),
  ({ replicas, since, ...tablet }) => {
    const holders = [...replicas, ...tablet.learners.map(({ id }) => id)]
    if (replicas.length === 0 || new Set(holders).size !== holders.length) throw corrupt("replicas")
    if (tablet.end !== undefined && tablet.end <= tablet.start) throw corrupt("range")
    const each = replicas.map((id, i): ControlReplica => ({ id, since: since[i] ?? refuse("since") }))
    return { ...tablet, replicas: each }
  },
  ({ replicas, ...tablet }) => ({
    ...tablet,
    replicas: replicas.map(({ id }) => id),
    since: replicas.map(({ since }) => since),
  }),
)
export type ControlTablet = ValueOf<typeof TABLET>

const LAYOUT = row({
  version: whole(),
  /** The partition table, as `placement/` encodes it. */
  table: OWN_BYTES,
  /** The devices that the table's indexes refer to. */
  devices: listOf(DEVICE_ID, LAYOUT_DEVICES_MAX),
})
export type ControlLayout = ValueOf<typeof LAYOUT>

/** The starts that are kept: a device that was away for more of them is not told from one of a copy. */
export const STARTS_MAX = 256

const START = row({
  incarnation: INCARNATION,
  /** It is random: the starts of a store and of a copy of it differ, even if their incarnations are equal. */
  id: whole(),
  /** By the wall clock of the machine. */
  startedMs: whole(),
  /** More than half of the voting devices had a record with the start before this one: its process may have opened the store. */
  hasOpened: BOOLEAN,
})

export type StoreStart = ValueOf<typeof START>

const LEAVING_NODES = listOf(NODE_NAME, LEAVING_NODES_MAX)

const RECORD = group({
  storeId: parsed(TEXT, parseStoreId),
  /** Grows by one with each change; the highest wins. */
  generation: whole(1),
  devices: listOf(DEVICE, STORE_DEVICES_MAX),
  /** The policy of buckets that choose none. */
  policy: POLICY,
  blockBytes: whole(1, BLOCK_BYTES_MAX),
  metaCopies: whole(1, STORE_DEVICES_MAX),
  /** The list is empty if the metadata is in a database. */
  tablets: listOf(TABLET, TABLETS_MAX),
  layout: LAYOUT,
  /** Sealed with the master key; opaque here. */
  secrets: OWN_BYTES,
  region: TEXT,
  /** The policy follows the number of devices, because none was chosen. */
  isPolicyAutomatic: BOOLEAN,
  /** Grows by one with each change of a policy. Needles re-encoded under it have a higher generation. */
  policyVersion: whole(1, POLICY_VERSION_MAX),
  /** Set while shards move from it to `layout`; shards that have not moved yet are where it places them. */
  previousLayout: optional(LAYOUT),
  /** Names of background jobs that an operator paused; they stay paused over restarts. */
  pausedWork: listOf(TEXT, PAUSED_MAX),
  /** Nodes that an operator removed and that still have devices; absent if there are none. */
  leavingNodes: {
    ...appended(LEAVING_NODES),
    write: (members: unknown[], nodes: ValueOf<typeof LEAVING_NODES> = []) => LEAVING_NODES.write(members, nodes),
    read: (reader: RecordReader) => {
      const nodes = reader.isOver ? [] : LEAVING_NODES.read(reader)
      return nodes.length === 0 ? undefined : nodes
    },
  },
  /** The key ring is absent in a store that never had a key for objects. */
  keyring: appended(mapped(OWN_BYTES, decodeKeyring, encodeKeyring)),
  /**
   * Policies of storage classes that the operator mapped; those of the others are the bucket's or the store's. Absent in
   * a store that never had another class than STANDARD.
   */
  classes: appended(listOf(pairOf(STORAGE_CLASS, POLICY), STORAGE_CLASSES.length)),
  /** The last starts, oldest first (see `starts-core.ts`). Absent before the second start, and if an earlier release made it. */
  starts: appended(listOf(START, STARTS_MAX)),
  more: appendedRest(UNKNOWN),
})
export type ControlRecord = ValueOf<typeof RECORD>

const WHAT = "control record"
const MAGIC = 0x5243_4c48
const VERSION = 2
const VERSION_MIN = 1
const ENVELOPE_BYTES = 24
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number", copyBuffers: true })

/**
 * Returns the minimum format epoch in the superblocks of the store's devices: earlier releases cannot open what the
 * ring's keys seal, and refuse versions of other classes than STANDARD.
 */
export const formatEpochOf = ({ keyring, classes }: Pick<ControlRecord, "keyring" | "classes">): number =>
  keyring === undefined && classes === undefined ? FORMAT_EPOCH_FIRST : FORMAT_EPOCH_OF_KEYS

const FIRST_MASTER_KEY = 1

/** Which master key seals the record: 1, and one more after each rotation. */
export const masterKeyNumberOf = ({ keyring }: Pick<ControlRecord, "keyring">): number =>
  keyring?.masterKeyNumber ?? FIRST_MASTER_KEY

export function encodeControlRecord(record: ControlRecord): Uint8Array {
  const members: unknown[] = []
  RECORD.write(members, record)
  const payload = packr.pack(members)
  const bytes = new Uint8Array(ENVELOPE_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint32(8, payload.length, true)
  view.setBigUint64(16, xxh64(payload, BigInt(VERSION)), true)
  bytes.set(payload, ENVELOPE_BYTES)
  return bytes
}

/** Throws `corruptRecord`, `invalidConfig` (a later version). */
export function parseControlRecord(bytes: Uint8Array): ControlRecord {
  const { version, payload } = openEnvelope(bytes)
  return checkWhole(parseFields(version === 1 ? upgrade(parseList(payload, "record", 10)) : payload))
}

/** Converts the fields of a version 1 record to version 2. */
function upgrade(record: readonly unknown[]): readonly unknown[] {
  const [storeId, generation, devices, policy, blockBytes, metaCopies, tablets, layout, secrets, region, ...more] =
    record
  const upgraded = parseItems(devices, "devices", STORE_DEVICES_MAX).map(device => {
    const [id, weight, pathHint, isMountPoint, ...others] = parseList(device, "device", 4)
    return [id, weight, pathHint, isMountPoint, DEVICE_STATES.indexOf("active"), 0, 0, ...others]
  })
  const withSince = parseItems(tablets, "tablets", TABLETS_MAX).map(tablet => {
    const [id, epoch, replicas, start, end, ...others] = parseList(tablet, "tablet", 5)
    return [id, epoch, replicas, start, end, parseItems(replicas, "replicas", DEVICES_MAX).map(() => 1), [], ...others]
  })
  const ids = upgraded.map(([id]) => id)
  const named = [storeId, generation, upgraded, policy, blockBytes, metaCopies, withSince]
  return [...named, [...parseList(layout, "layout", 2), ids], secrets, region, false, 1, null, [], ...more]
}

const parseFields = (payload: unknown): ControlRecord =>
  corruptIfRefused(WHAT, () => RECORD.read(RecordReader.of(WHAT, payload)))

/** Checks the invariants between fields. */
function checkWhole(record: ControlRecord): ControlRecord {
  const ids = new Set(record.devices.map(({ id }) => id))
  if (ids.size === 0 || ids.size !== record.devices.length) throw corrupt("devices")
  const { classes = [] } = record
  if (new Set(classes.map(([storageClass]) => storageClass)).size !== classes.length) throw corrupt("classes")
  if (new Set(record.tablets.map(({ id }) => id)).size !== record.tablets.length) throw corrupt("tablets")
  return record
}

function openEnvelope(bytes: Uint8Array): { readonly version: number; readonly payload: unknown } {
  if (bytes.length < ENVELOPE_BYTES) throw corrupt("envelope")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) throw corrupt("magic")
  const [version, lengthBytes] = [view.getUint16(4, true), view.getUint32(8, true)]
  const payload = bytes.subarray(ENVELOPE_BYTES, ENVELOPE_BYTES + lengthBytes)
  if (view.getUint16(6, true) !== 0 || view.getUint32(12, true) !== 0) throw corrupt("reserved")
  if (lengthBytes !== payload.length) throw corrupt("length")
  if (view.getBigUint64(16, true) !== xxh64(payload, BigInt(version))) throw corrupt("checksum")
  if (version < VERSION_MIN || version > VERSION) {
    throw fail("invalidConfig", { message: "the control record was written by a later release of Hayloft", version })
  }
  try {
    return { version, payload: packr.unpack(payload) }
  } catch (error) {
    throw fail("corruptRecord", { what: "control record", field: "payload" }, error)
  }
}

function parseList(value: unknown, field: string, lengthMin: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < lengthMin) throw corrupt(field)
  return value as readonly unknown[]
}

function parseItems(value: unknown, field: string, lengthMax: number): readonly unknown[] {
  const items = parseList(value, field, 0)
  if (items.length > lengthMax) throw corrupt(field)
  return items
}

function refuse(field: string): never {
  throw corrupt(field)
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: WHAT, field })
