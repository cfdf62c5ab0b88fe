/**
 * Position record, version 1: the last recorded positions of a device's log and its metadata store, in a
 * separate file that is replaced whole. The positions in the log and the metadata store are never behind it, unless
 * both were replaced by older copies.
 *
 * 40 bytes, little-endian:
 *
 *   0  magic "HLPO"       8  device id (8)         24  generation of the store's manifest (8)
 *   4  version (2)       16  log sequence (8)      32  XXH64 of bytes 0–31
 *   6  reserved (2)
 *
 * Ignores   Bytes behind these 40: a file that a tool has lengthened is intact.
 * Refuses   Anything else with `corruptRecord`. Its loss costs a check, never data.
 */
import { assert } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence, type DeviceId, type LogSequence } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"

export interface PositionRecord {
  readonly deviceId: DeviceId
  /** The last batch that was durable. */
  readonly logged: LogSequence
  /** The manifest that the metadata store was at. */
  readonly generation: number
}

const MAGIC = 0x4f50_4c48
const VERSION = 1
const CHECKSUM_AT = 32
const POSITION_BYTES = 40

export function encodePositionRecord({ deviceId, logged, generation }: PositionRecord): Uint8Array {
  const bytes = new Uint8Array(POSITION_BYTES)
  const view = new DataView(bytes.buffer)
  const device = bytesOfHex(deviceId)
  assert(device?.length === 8, "a device id has its length")
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  bytes.set(device, 8)
  view.setBigUint64(16, BigInt(logged), true)
  view.setBigUint64(24, BigInt(generation), true)
  view.setBigUint64(CHECKSUM_AT, xxh64(bytes.subarray(0, CHECKSUM_AT)), true)
  return bytes
}

export function decodePositionRecord(bytes: Uint8Array): PositionRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isWhole =
    bytes.length >= POSITION_BYTES &&
    view.getUint32(0, true) === MAGIC &&
    view.getUint16(4, true) === VERSION &&
    view.getBigUint64(CHECKSUM_AT, true) === xxh64(bytes.subarray(0, CHECKSUM_AT))
  if (!isWhole) throw fail("corruptRecord", { what: "position record" })
  return {
    deviceId: parseDeviceId(hexOf(bytes.subarray(8, 16))),
    logged: parseLogSequence(Number(view.getBigUint64(16, true))),
    generation: Number(view.getBigUint64(24, true)),
  }
}
