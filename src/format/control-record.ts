/**
 * Control record, version 1: what a store is made of. A copy rests on each of its devices.
 *
 * Envelope (little-endian): magic "HLCR" (4), version (2), reserved (2), payload length (4),
 * reserved (4), XXH64 of the payload seeded by the version (8), payload. The payload is a positional
 * MessagePack array, as are the devices and tablets in it. Later releases append members: what this
 * release does not know it keeps (`more`) and writes back.
 * Refuses   Anything malformed with `corruptRecord`; a later version with `invalidConfig`.
 */
import { Packr } from "msgpackr"
import { fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import { bytesOfByteString, parseDeviceId, parseEpoch, parseStoreId, parseTabletId, rowKeyOf } from "../base/ids.js"
import type { DeviceId, Epoch, RowKey, StoreId, TabletId } from "../base/ids.js"
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, DEVICES_MAX } from "../base/limits.js"
import { parsePolicy, textOfPolicy } from "../base/policy.js"
import type { Policy } from "../base/policy.js"
import { xxh64 } from "../base/xxh64.js"

export interface ControlDevice {
  readonly id: DeviceId
  /** Above 0; a device of weight 2 gets twice the partitions of one of weight 1. */
  readonly weight: number
  /** Where it was last; a device is recognised by its superblock, never by this. */
  readonly pathHint: string
  /** Whether its folder was a mount point of its own: an empty folder in its place must be one too. */
  readonly isMountPoint: boolean
  readonly more: readonly unknown[]
}

export interface ControlTablet {
  readonly id: TabletId
  readonly epoch: Epoch
  /** Who holds it; the first is its primary. */
  readonly members: readonly DeviceId[]
  /** Inclusive. */
  readonly start: RowKey
  /** Exclusive; undefined: to the end of all keys. */
  readonly end: RowKey | undefined
  readonly more: readonly unknown[]
}

export interface ControlLayout {
  readonly version: number
  /** The partition table, in the form that `placement/` gives it. */
  readonly table: Uint8Array
}

export interface ControlRecord {
  readonly storeId: StoreId
  /** Grows by one with each change; the highest counts. */
  readonly generation: number
  readonly devices: readonly ControlDevice[]
  /** For buckets that choose none. */
  readonly policy: Policy
  readonly blockBytes: number
  readonly metaCopies: number
  readonly tablets: readonly ControlTablet[]
  readonly layout: ControlLayout
  /** Sealed by the master key; opaque here. */
  readonly secrets: Uint8Array
  readonly region: string
  readonly more: readonly unknown[]
}

export const TABLETS_MAX = 65_536
const MAGIC = 0x5243_4c48
const VERSION = 1
const ENVELOPE_BYTES = 24
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number", copyBuffers: true })

export function encodeControlRecord(record: ControlRecord): Uint8Array {
  const payload = packr.pack([
    record.storeId,
    record.generation,
    record.devices.map(({ id, weight, pathHint, isMountPoint, more }) => [id, weight, pathHint, isMountPoint, ...more]),
    textOfPolicy(record.policy),
    record.blockBytes,
    record.metaCopies,
    record.tablets.map(({ id, epoch, members, start, end, more }) => {
      return [id, epoch, members, bytesOfByteString(start), end === undefined ? null : bytesOfByteString(end), ...more]
    }),
    [record.layout.version, record.layout.table],
    record.secrets,
    record.region,
    ...record.more,
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

/** Throws `corruptRecord`, `invalidConfig` (a later version). */
export function parseControlRecord(bytes: Uint8Array): ControlRecord {
  const members = parseList(payloadOf(bytes), "record", 10)
  const [storeId, generation, devices, policy, blockBytes, metaCopies, tablets, layout, secrets, region, ...more] =
    members
  const record: ControlRecord = {
    storeId: parseAs("storeId", () => parseStoreId(storeId)),
    generation: parseWhole(generation, "generation", 1, Number.MAX_SAFE_INTEGER),
    devices: parseItems(devices, "devices", DEVICES_MAX).map(parseDevice),
    policy: parseAs("policy", () => parsePolicy(parseText(policy, "policy"))),
    blockBytes: parseWhole(blockBytes, "blockBytes", BLOCK_BYTES_MIN, BLOCK_BYTES_MAX),
    metaCopies: parseWhole(metaCopies, "metaCopies", 1, DEVICES_MAX),
    tablets: parseItems(tablets, "tablets", TABLETS_MAX).map(parseTablet),
    layout: parseLayout(layout),
    secrets: parseBytes(secrets, "secrets"),
    region: parseText(region, "region"),
    more,
  }
  return checkWhole(record)
}

/** What must hold between members. */
function checkWhole(record: ControlRecord): ControlRecord {
  const ids = new Set(record.devices.map(({ id }) => id))
  if (ids.size === 0 || ids.size !== record.devices.length) throw corrupt("devices")
  if (new Set(record.tablets.map(({ id }) => id)).size !== record.tablets.length) throw corrupt("tablets")
  return record
}

function payloadOf(bytes: Uint8Array): unknown {
  if (bytes.length < ENVELOPE_BYTES) throw corrupt("envelope")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) throw corrupt("magic")
  const [version, lengthBytes] = [view.getUint16(4, true), view.getUint32(8, true)]
  const payload = bytes.subarray(ENVELOPE_BYTES)
  if (view.getUint16(6, true) !== 0 || view.getUint32(12, true) !== 0) throw corrupt("reserved")
  if (lengthBytes !== payload.length) throw corrupt("length")
  if (view.getBigUint64(16, true) !== xxh64(payload, BigInt(version))) throw corrupt("checksum")
  if (version !== VERSION) {
    throw fail("invalidConfig", { message: "the control record was written by a later release of Hayloft", version })
  }
  try {
    return packr.unpack(payload)
  } catch (error) {
    throw fail("corruptRecord", { what: "control record", member: "payload" }, error)
  }
}

function parseDevice(value: unknown): ControlDevice {
  const [id, weight, pathHint, isMountPoint, ...more] = parseList(value, "device", 4)
  if (typeof weight !== "number" || !Number.isFinite(weight) || weight <= 0) throw corrupt("weight")
  if (typeof isMountPoint !== "boolean") throw corrupt("isMountPoint")
  const deviceId = parseAs("device id", () => parseDeviceId(id))
  return { id: deviceId, weight, pathHint: parseText(pathHint, "pathHint"), isMountPoint, more }
}

function parseTablet(value: unknown): ControlTablet {
  const [id, epoch, members, start, end, ...more] = parseList(value, "tablet", 5)
  const tablet = {
    id: parseAs("tablet id", () => parseTabletId(id)),
    epoch: parseAs("epoch", () => parseEpoch(epoch)),
    members: parseItems(members, "members", DEVICES_MAX).map(member => parseAs("member", () => parseDeviceId(member))),
    start: parseRowKey(start),
    end: end === null ? undefined : parseRowKey(end),
    more,
  }
  if (tablet.members.length === 0 || new Set(tablet.members).size !== tablet.members.length) throw corrupt("members")
  if (tablet.end !== undefined && tablet.end <= tablet.start) throw corrupt("range")
  return tablet
}

function parseLayout(value: unknown): ControlLayout {
  const [version, table] = parseList(value, "layout", 2)
  return {
    version: parseWhole(version, "layout version", 0, Number.MAX_SAFE_INTEGER),
    table: parseBytes(table, "layout table"),
  }
}

function parseList(value: unknown, member: string, lengthMin: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < lengthMin) throw corrupt(member)
  return value as readonly unknown[]
}

function parseItems(value: unknown, member: string, lengthMax: number): readonly unknown[] {
  const items = parseList(value, member, 0)
  if (items.length > lengthMax) throw corrupt(member)
  return items
}

function parseWhole(value: unknown, member: string, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) throw corrupt(member)
  return value
}

function parseText(value: unknown, member: string): string {
  if (typeof value !== "string") throw corrupt(member)
  return value
}

/** A copy of its own, a plain `Uint8Array`. */
function parseBytes(value: unknown, member: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw corrupt(member)
  return Uint8Array.from(value)
}

function parseRowKey(value: unknown): RowKey {
  return rowKeyOf(Array.from(parseBytes(value, "row key"), byte => String.fromCharCode(byte)).join(""))
}

/** Here a malformed id is damage, not somebody's request. */
function parseAs<T>(member: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw fail("corruptRecord", { what: "control record", member }, error)
  }
}

const corrupt = (member: string): Failure => fail("corruptRecord", { what: "control record", member })
