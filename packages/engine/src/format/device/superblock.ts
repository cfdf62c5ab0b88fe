/**
 * Superblock, version 1: marks a folder as a device.
 *
 * 64 bytes, little-endian:
 *
 *   0  magic "HLSB"        8  store id (16)     40  device id (8)
 *   4  version (2)        24  created, ms (8)   48  reserved, zeros (8)
 *   6  format epoch (2)   32  incarnation (4)   56  XXH64 of bytes 0–55
 *                         36  reserved (4)
 *
 * Ignores   Bytes behind these 64: a file that a tool has lengthened is intact. The next incarnation replaces it.
 * Refuses   Anything else with `corruptRecord`. A format epoch above EPOCH_MAX was written by a later
 *           release: `invalidConfig`, since nothing is damaged.
 */
import { assert } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, parseStoreId } from "@hayloft/base/ids.js"
import type { DeviceId, Incarnation, StoreId } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"

export interface Superblock {
  readonly storeId: StoreId
  readonly deviceId: DeviceId
  /** The incarnation of the last process on the device; each start increases it. */
  readonly incarnation: Incarnation
  /** Milliseconds since 1970, by the wall clock of the machine that created the device. */
  readonly createdMs: number
  /** The folder may contain the formats of all epochs up to this one. */
  readonly formatEpoch: number
}

/** The format epoch of a new store. */
export const FORMAT_EPOCH_FIRST = 1
/** The format epoch of a store that has a key for objects, or versions of storage classes: records may say so. */
export const FORMAT_EPOCH_OF_KEYS = 2
/** The format epoch of a device that has volumes of needles that end: earlier releases would not find these needles. */
export const FORMAT_EPOCH_OF_ENDS = 3
export const FORMAT_EPOCH_MAX = FORMAT_EPOCH_OF_ENDS
const SUPERBLOCK_BYTES = 64
const MAGIC = 0x4253_4c48
const VERSION = 1
const CHECKSUM_AT = 56

export function encodeSuperblock(superblock: Superblock): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES)
  const view = new DataView(bytes.buffer)
  const [store, device] = [bytesOfHex(superblock.storeId), bytesOfHex(superblock.deviceId)]
  assert(store?.length === 16 && device?.length === 8, "ids have their lengths")
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint16(6, superblock.formatEpoch, true)
  bytes.set(store, 8)
  view.setBigUint64(24, BigInt(superblock.createdMs), true)
  view.setUint32(32, superblock.incarnation, true)
  bytes.set(device, 40)
  view.setBigUint64(CHECKSUM_AT, xxh64(bytes.subarray(0, CHECKSUM_AT)), true)
  return bytes
}

/** Throws `corruptRecord`, `invalidConfig` (see above). */
export function decodeSuperblock(bytes: Uint8Array): Superblock {
  if (bytes.length < SUPERBLOCK_BYTES) throw corrupt("length")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) throw corrupt("magic")
  if (view.getBigUint64(CHECKSUM_AT, true) !== xxh64(bytes.subarray(0, CHECKSUM_AT))) throw corrupt("checksum")
  const formatEpoch = view.getUint16(6, true)
  if (view.getUint16(4, true) !== VERSION || formatEpoch > FORMAT_EPOCH_MAX) {
    throw fail("invalidConfig", { message: "the data folder was written by a later release of Hayloft", formatEpoch })
  }
  return {
    storeId: parseStoreId(hexOf(bytes.subarray(8, 24))),
    deviceId: parseDeviceId(hexOf(bytes.subarray(40, 48))),
    incarnation: parseIncarnation(view.getUint32(32, true)),
    createdMs: Number(view.getBigUint64(24, true)),
    formatEpoch,
  }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "superblock", field })
