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
import { fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import {
  bytesOfByteString,
  parseDeviceId,
  parseDomainName,
  parseEpoch,
  parseIncarnation,
  parseNodeName,
  parseStoreId,
  parseTabletId,
  rowKeyOf,
} from "../base/ids.js"
import type { DeviceId, Epoch, Incarnation, NodeName, RowKey, StoreId, TabletId } from "../base/ids.js"
import { BLOCK_BYTES_MAX, DEVICES_MAX, STORE_DEVICES_MAX } from "../base/limits.js"
import { parsePolicy, textOfPolicy } from "../base/policy.js"
import type { Policy } from "../base/policy.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { xxh64 } from "../simd/xxh64.js"
import { decodeKeyring, encodeKeyring, type Keyring } from "./keyring.js"
import { FORMAT_EPOCH_FIRST, FORMAT_EPOCH_OF_KEYS } from "./superblock.js"

/**
 * `active`: has every shard that the layout assigns to it. `rebuilding`: in use, but may lack some.
 * `offline`: neither read nor written until it returns, is replaced or forgotten.
 * `draining`: read while its shards move to others. `decommissioning`: as draining, then forgotten once empty.
 */
export type ControlDeviceState = "active" | "rebuilding" | "offline" | "draining" | "decommissioning"

/** The node that serves a device, and what the device fails together with. */
export interface DeviceHome {
  readonly node: NodeName
  /** The claim: the incarnation of the node that serves the device; 0 once the claim is released. */
  readonly incarnation: Incarnation
  /** Devices without a zone are in one zone. */
  readonly zone?: string
  /** Within its zone. */
  readonly machine: string
  /** Within its machine: equal for devices on one file system; absent if the device has a disk of its own. */
  readonly disk?: string
}

export interface ControlDevice {
  readonly id: DeviceId
  /** Above 0; a device of weight 2 gets twice the partitions of one of weight 1. */
  readonly weight: number
  /** Its last path; only the superblock identifies a device. */
  readonly pathHint: string
  /** Its folder was a mount point: an empty folder that replaces it must be one too. */
  readonly isMountPoint: boolean
  readonly state: ControlDeviceState
  /** When the state was entered, by the wall clock; 0 if unknown. */
  readonly stateSinceMs: number
  /** Capacity of its file system when it joined; 0 if unknown. */
  readonly capacityBytes: number
  /** It is offline and was decommissioning, which continues when it returns. */
  readonly wasDecommissioning?: true
  /** Set in a store of several nodes. It stays while the device is offline: its shards are still there. */
  readonly home?: DeviceHome
  readonly more: readonly unknown[]
}

/** A device's replica of a tablet. A device that left and returned is a new incarnation, with separate rows. */
export interface ControlReplica {
  readonly id: DeviceId
  /** The epoch that began it; its history contains no entries of earlier epochs. */
  readonly since: Epoch
}

export interface ControlTablet {
  readonly id: TabletId
  readonly epoch: Epoch
  /** Its replicas; the first is the primary. */
  readonly replicas: readonly ControlReplica[]
  /** Devices that are becoming replicas: they log what replicas log, but do not vote yet. */
  readonly learners: readonly ControlReplica[]
  /** Inclusive. */
  readonly start: RowKey
  /** Exclusive; undefined means the end of all keys. */
  readonly end: RowKey | undefined
  readonly more: readonly unknown[]
}

export interface ControlLayout {
  readonly version: number
  /** The devices that the table's indexes refer to. */
  readonly devices: readonly DeviceId[]
  /** The partition table, as `placement/` encodes it. */
  readonly table: Uint8Array
}

export interface ControlRecord {
  readonly storeId: StoreId
  /** Grows by one with each change; the highest wins. */
  readonly generation: number
  readonly devices: readonly ControlDevice[]
  /** The policy of buckets that choose none. */
  readonly policy: Policy
  /** The policy follows the number of devices, because none was chosen. */
  readonly isPolicyAutomatic: boolean
  /** Grows by one with each change of a policy. Needles re-encoded under it have a higher generation. */
  readonly policyVersion: number
  readonly blockBytes: number
  readonly metaCopies: number
  /** None: the metadata is in a database. */
  readonly tablets: readonly ControlTablet[]
  readonly layout: ControlLayout
  /** Set while shards move from it to `layout`; shards that have not moved yet are where it places them. */
  readonly previousLayout: ControlLayout | undefined
  /** Names of background jobs that an operator paused; they stay paused over restarts. */
  readonly pausedWork: readonly string[]
  /** Nodes that an operator removed and that still have devices; absent if there are none. */
  readonly leavingNodes?: readonly NodeName[]
  /** The key ring is absent in a store that never had a key for objects. */
  readonly keyring?: Keyring
  /**
   * Policies of storage classes that the operator mapped; those of the others are the bucket's or the store's. Absent in
   * a store that never had another class than STANDARD.
   */
  readonly classes?: readonly ClassPolicy[]
  /** Sealed with the master key; opaque here. */
  readonly secrets: Uint8Array
  readonly region: string
  readonly more: readonly unknown[]
}

type ClassPolicy = readonly [storageClass: StorageClass, policy: Policy]

const TABLETS_MAX = 65_536
/** The highest generation that a needle can encode. */
export const POLICY_VERSION_MAX = 0xffff
/** The devices of the previous layout and those added since. */
const LAYOUT_DEVICES_MAX = 2 * STORE_DEVICES_MAX
const PAUSED_MAX = 64
/** A node that leaves has a device. */
const LEAVING_NODES_MAX = STORE_DEVICES_MAX
/** Numbers are on disk: append only. */
const DEVICE_STATES: readonly ControlDeviceState[] = ["active", "rebuilding", "offline", "draining", "decommissioning"]
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
  const payload = packr.pack([
    record.storeId,
    record.generation,
    record.devices.map(packDevice),
    textOfPolicy(record.policy),
    record.blockBytes,
    record.metaCopies,
    record.tablets.map(packTablet),
    packLayout(record.layout),
    record.secrets,
    record.region,
    record.isPolicyAutomatic,
    record.policyVersion,
    record.previousLayout === undefined ? null : packLayout(record.previousLayout),
    record.pausedWork,
    ...packAppended(record),
  ])
  const bytes = new Uint8Array(ENVELOPE_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint32(8, payload.length, true)
  view.setBigUint64(16, xxh64(payload, BigInt(VERSION)), true)
  bytes.set(payload, ENVELOPE_BYTES)
  return bytes
}

/** The members appended to version 2, up to the last one that is set. */
function packAppended({ leavingNodes, keyring, classes, more }: ControlRecord): readonly unknown[] {
  const appended = [leavingNodes, keyring && encodeKeyring(keyring), classes?.map(packClass)]
  const last = more.length > 0 ? appended.length : appended.findLastIndex(member => member !== undefined) + 1
  return [...appended.slice(0, last).map((member, i) => member ?? (i === 0 ? [] : null)), ...more]
}

const packClass = ([storageClass, policy]: ClassPolicy): readonly unknown[] => [
  numberOfClass(storageClass),
  textOfPolicy(policy),
]

const packTablet = ({ id, epoch, replicas, start, end, learners, more }: ControlTablet): readonly unknown[] => [
  id,
  epoch,
  replicas.map(replica => replica.id),
  bytesOfByteString(start),
  end === undefined ? null : bytesOfByteString(end),
  replicas.map(replica => replica.since),
  learners.map(learner => [learner.id, learner.since]),
  ...more,
]

const packLayout = ({ version, table, devices }: ControlLayout): readonly unknown[] => [version, table, devices]

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

function parseFields(payload: unknown): ControlRecord {
  const fields = parseList(payload, "record", 14)
  const [storeId, generation, devices, policy, blockBytes, metaCopies, tablets, layout, secrets, region] = fields
  const [isPolicyAutomatic, policyVersion, previousLayout, pausedWork, leavingNodes = [], keyring = null, ...rest] =
    fields.slice(10)
  const [classes = null, ...more] = rest
  const leaving = parseItems(leavingNodes, "leavingNodes", LEAVING_NODES_MAX)
  return {
    storeId: parseAs("storeId", () => parseStoreId(storeId)),
    generation: parseWhole(generation, "generation", 1, Number.MAX_SAFE_INTEGER),
    devices: parseItems(devices, "devices", STORE_DEVICES_MAX).map(parseDevice),
    policy: parseAs("policy", () => parsePolicy(parseText(policy, "policy"))),
    isPolicyAutomatic: parseFlag(isPolicyAutomatic, "isPolicyAutomatic"),
    policyVersion: parseWhole(policyVersion, "policyVersion", 1, POLICY_VERSION_MAX),
    blockBytes: parseWhole(blockBytes, "blockBytes", 1, BLOCK_BYTES_MAX),
    metaCopies: parseWhole(metaCopies, "metaCopies", 1, STORE_DEVICES_MAX),
    tablets: parseItems(tablets, "tablets", TABLETS_MAX).map(parseTablet),
    layout: parseLayout(layout),
    previousLayout: previousLayout === null ? undefined : parseLayout(previousLayout),
    pausedWork: parseItems(pausedWork, "pausedWork", PAUSED_MAX).map(name => parseText(name, "pausedWork")),
    ...(leaving.length === 0
      ? {}
      : { leavingNodes: leaving.map(name => parseAs("leavingNodes", () => parseNodeName(name))) }),
    ...(keyring === null ? {} : { keyring: decodeKeyring(parseBytes(keyring, "keyring")) }),
    ...(classes === null
      ? {}
      : { classes: parseItems(classes, "classes", STORAGE_CLASSES.length).map(parseClassPolicy) }),
    secrets: parseBytes(secrets, "secrets"),
    region: parseText(region, "region"),
    more,
  }
}

function parseClassPolicy(value: unknown): ClassPolicy {
  const [number, policy] = parseList(value, "class", 2)
  const storageClass = typeof number === "number" ? STORAGE_CLASSES[number] : undefined
  if (storageClass === undefined) throw corrupt("class")
  return [storageClass, parseAs("policy of a class", () => parsePolicy(parseText(policy, "policy")))]
}

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

/** Writes the appended fields up to the last one that is set. */
function packDevice(device: ControlDevice): readonly unknown[] {
  const { id, weight, pathHint, isMountPoint, state, stateSinceMs, capacityBytes, wasDecommissioning, home, more } =
    device
  const fields = [id, weight, pathHint, isMountPoint, DEVICE_STATES.indexOf(state), stateSinceMs, capacityBytes]
  if (home !== undefined || more.length > 0) {
    return [...fields, wasDecommissioning === true, home === undefined ? null : packHome(home), ...more]
  }
  return wasDecommissioning === undefined ? fields : [...fields, true]
}

const packHome = ({ node, incarnation, zone, machine, disk }: DeviceHome): readonly unknown[] => [
  node,
  incarnation,
  zone ?? null,
  machine,
  disk ?? null,
]

/** Later releases append to the device, not to its home. */
function parseHome(value: unknown): DeviceHome {
  const list = parseList(value, "home", 5)
  if (list.length > 5) throw corrupt("home")
  const [node, incarnation, zone, machine, disk] = list
  const name = (field: string, text: unknown) => parseAs(field, () => parseDomainName(text))
  return {
    node: parseAs("node", () => parseNodeName(node)),
    incarnation: parseAs("incarnation", () => parseIncarnation(incarnation)),
    ...(zone === null ? {} : { zone: name("zone", zone) }),
    machine: name("machine", machine),
    ...(disk === null ? {} : { disk: name("disk", disk) }),
  }
}

function parseDevice(value: unknown): ControlDevice {
  const list = parseList(value, "device", 7)
  const [id, weight, pathHint, isMountPoint, state, stateSinceMs, capacityBytes] = list
  const [wasDecommissioning = false, home = null, ...more] = list.slice(7)
  if (typeof weight !== "number" || !Number.isFinite(weight) || weight <= 0) throw corrupt("weight")
  return {
    id: parseAs("device id", () => parseDeviceId(id)),
    weight,
    pathHint: parseText(pathHint, "pathHint"),
    isMountPoint: parseFlag(isMountPoint, "isMountPoint"),
    state: parseState(state),
    stateSinceMs: parseWhole(stateSinceMs, "stateSinceMs", 0, Number.MAX_SAFE_INTEGER),
    capacityBytes: parseWhole(capacityBytes, "capacityBytes", 0, Number.MAX_SAFE_INTEGER),
    ...(parseFlag(wasDecommissioning, "wasDecommissioning") && { wasDecommissioning: true }),
    ...(home === null ? {} : { home: parseHome(home) }),
    more,
  }
}

function parseState(value: unknown): ControlDeviceState {
  const state = typeof value === "number" ? DEVICE_STATES[value] : undefined
  if (state === undefined) throw corrupt("device state")
  return state
}

function parseTablet(value: unknown): ControlTablet {
  const [id, epoch, replicas, start, end, since, learners, ...more] = parseList(value, "tablet", 7)
  const sinces = parseItems(since, "since", DEVICES_MAX)
  const tablet = {
    id: parseAs("tablet id", () => parseTabletId(id)),
    epoch: parseAs("epoch", () => parseEpoch(epoch)),
    replicas: parseItems(replicas, "replicas", DEVICES_MAX).map((field, i) => parseReplica([field, sinces[i]])),
    learners: parseItems(learners, "learners", DEVICES_MAX).map(learner =>
      parseReplica(parseList(learner, "learner", 2)),
    ),
    start: parseRowKey(start),
    end: end === null ? undefined : parseRowKey(end),
    more,
  }
  const holders = [...tablet.replicas, ...tablet.learners].map(field => field.id)
  if (tablet.replicas.length === 0 || new Set(holders).size !== holders.length) throw corrupt("replicas")
  if (tablet.end !== undefined && tablet.end <= tablet.start) throw corrupt("range")
  return tablet
}

function parseReplica([id, since]: readonly unknown[]): ControlReplica {
  return {
    id: parseAs("member", () => parseDeviceId(id)),
    since: parseAs("since", () => parseEpoch(since)),
  }
}

function parseLayout(value: unknown): ControlLayout {
  const [version, table, devices] = parseList(value, "layout", 3)
  return {
    devices: parseItems(devices, "layout devices", LAYOUT_DEVICES_MAX).map(id =>
      parseAs("layout device", () => parseDeviceId(id)),
    ),
    version: parseWhole(version, "layout version", 0, Number.MAX_SAFE_INTEGER),
    table: parseBytes(table, "layout table"),
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

function parseWhole(value: unknown, field: string, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) throw corrupt(field)
  return value
}

function parseFlag(value: unknown, field: string): boolean {
  if (typeof value !== "boolean") throw corrupt(field)
  return value
}

function parseText(value: unknown, field: string): string {
  if (typeof value !== "string") throw corrupt(field)
  return value
}

/** A copy, as a plain `Uint8Array`. */
function parseBytes(value: unknown, field: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw corrupt(field)
  return Uint8Array.from(value)
}

function parseRowKey(value: unknown): RowKey {
  return rowKeyOf(Array.from(parseBytes(value, "row key"), byte => String.fromCharCode(byte)).join(""))
}

/** A malformed id in a record is damage, not a bad request. */
function parseAs<T>(field: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw fail("corruptRecord", { what: "control record", field }, error)
  }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "control record", field })
