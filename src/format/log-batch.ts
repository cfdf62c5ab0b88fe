/**
 * Log batch, version 1: one append to a device's commit log.
 *
 * A header of 80 bytes, the payload (the length of each record, 4 bytes each, then the records) and
 * zeros up to a page: a batch never shares a page with another, so a torn write of the next batch cannot damage
 * an acknowledged one. All numbers are little-endian.
 *
 *   0  magic "HLLB"      24  offset in segment (4)    56  cut up to (8)
 *   4  version (2)       28  payload length (4)       64  payload checksum (8)
 *   6  header length (2) 32  sequence (8)             72  header checksum (8), of bytes 0–71
 *   8  device id (8)     40  previous batch (8)
 *  16  segment (4)       48  durable up to (8)
 *  20  records (4)
 *
 * Segments are recycled and contain old batches with valid checksums: segment number, offset, sequence and
 * the previous batch's header checksum together determine whether a batch belongs where it was found.
 * Both checksums are XXH64; they detect accidents, not attackers.
 * Refuses   Anything that is not exactly what `encodeLogBatch` writes: decoding returns undefined.
 */
import { assert } from "../base/assert.js"
import { bytesOfHex, hexOf, roundUp } from "../base/bytes.js"
import { parseDeviceId, parseLogSequence } from "../base/ids.js"
import type { DeviceId, LogSequence } from "../base/ids.js"
import { MIB } from "../base/limits.js"
import { xxh64 } from "../simd/xxh64.js"

export const LOG_HEADER_BYTES = 80
export const LOG_PAGE_BYTES = 4096
/** Lengths and records of one batch. */
export const LOG_PAYLOAD_BYTES_MAX = 16 * MIB
const MAGIC = 0x424c_4c48
const VERSION = 1
const HEADER_CHECKSUM_AT = 72
const LENGTH_BYTES = 4

export interface LogBatchHeader {
  readonly deviceId: DeviceId
  /** 1, 2, 3 …: grows by one with each new segment, even if its file is recycled. */
  readonly segment: number
  readonly offsetBytes: number
  readonly sequence: LogSequence
  /** Header checksum of the previous batch; 0 for the very first. */
  readonly previous: bigint
  /** All batches up to this one were durable when this one was written. */
  readonly durableUpTo: LogSequence
  /** Batches up to this one are no longer needed and may be missing. */
  readonly cutUpTo: LogSequence
  readonly recordCount: number
  readonly payloadBytes: number
  readonly payloadChecksum: bigint
  /** Identifies this batch and, through `previous`, all before it. */
  readonly checksum: bigint
}

export type LogBatchHead = Omit<LogBatchHeader, "recordCount" | "payloadBytes" | "payloadChecksum" | "checksum">

/** Bytes that a batch occupies in its segment. */
export const batchBytes = (payloadBytes: number): number => roundUp(LOG_HEADER_BYTES + payloadBytes, LOG_PAGE_BYTES)

export const payloadBytesOf = (records: readonly Uint8Array[]): number =>
  records.reduce((sum, record) => sum + LENGTH_BYTES + record.length, 0)

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

/** The whole batch, padded to pages, and the offset of each record. Uses `memory` if that is large enough. */
export function encodeLogBatch(
  head: LogBatchHead,
  records: readonly Uint8Array[],
  memory?: Uint8Array,
): { readonly bytes: Uint8Array; readonly header: LogBatchHeader; readonly recordOffsets: readonly number[] } {
  const payloadBytes = payloadBytesOf(records)
  assert(payloadBytes <= LOG_PAYLOAD_BYTES_MAX, "a log batch is over its limit")
  const lengthBytes = batchBytes(payloadBytes)
  const bytes =
    memory && memory.length >= lengthBytes ? memory.subarray(0, lengthBytes) : Buffer.allocUnsafeSlow(lengthBytes)
  const view = viewOf(bytes)
  const recordOffsets: number[] = []
  let at = LOG_HEADER_BYTES + LENGTH_BYTES * records.length
  records.forEach((record, index) => {
    view.setUint32(LOG_HEADER_BYTES + LENGTH_BYTES * index, record.length, true)
    bytes.set(record, at)
    recordOffsets.push(at)
    at += record.length
  })
  bytes.fill(0, at)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint16(6, LOG_HEADER_BYTES, true)
  const device = bytesOfHex(head.deviceId)
  assert(device?.length === 8, "a device id is 8 bytes")
  bytes.set(device, 8)
  view.setUint32(16, head.segment, true)
  view.setUint32(20, records.length, true)
  view.setUint32(24, head.offsetBytes, true)
  view.setUint32(28, payloadBytes, true)
  view.setBigUint64(32, BigInt(head.sequence), true)
  view.setBigUint64(40, head.previous, true)
  view.setBigUint64(48, BigInt(head.durableUpTo), true)
  view.setBigUint64(56, BigInt(head.cutUpTo), true)
  const payloadChecksum = xxh64(bytes.subarray(LOG_HEADER_BYTES, LOG_HEADER_BYTES + payloadBytes))
  view.setBigUint64(64, payloadChecksum, true)
  const checksum = xxh64(bytes.subarray(0, HEADER_CHECKSUM_AT))
  view.setBigUint64(HEADER_CHECKSUM_AT, checksum, true)
  const header = { ...head, recordCount: records.length, payloadBytes, payloadChecksum, checksum }
  return { bytes, header, recordOffsets }
}

/** The header at the front of the bytes; undefined if there is none, or a damaged one. */
export function decodeLogBatchHeader(bytes: Uint8Array): LogBatchHeader | undefined {
  if (bytes.length < LOG_HEADER_BYTES) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== VERSION) return undefined
  if (view.getUint16(6, true) !== LOG_HEADER_BYTES) return undefined
  const checksum = view.getBigUint64(HEADER_CHECKSUM_AT, true)
  if (xxh64(bytes.subarray(0, HEADER_CHECKSUM_AT)) !== checksum) return undefined
  const [payloadBytes, recordCount] = [view.getUint32(28, true), view.getUint32(20, true)]
  if (payloadBytes > LOG_PAYLOAD_BYTES_MAX || LENGTH_BYTES * recordCount > payloadBytes) return undefined
  return {
    deviceId: parseDeviceId(hexOf(bytes.subarray(8, 16))),
    segment: view.getUint32(16, true),
    offsetBytes: view.getUint32(24, true),
    sequence: parseLogSequence(Number(view.getBigUint64(32, true))),
    previous: view.getBigUint64(40, true),
    durableUpTo: parseLogSequence(Number(view.getBigUint64(48, true))),
    cutUpTo: parseLogSequence(Number(view.getBigUint64(56, true))),
    recordCount,
    payloadBytes,
    payloadChecksum: view.getBigUint64(64, true),
    checksum,
  }
}

export interface LogBatchRecord {
  readonly bytes: Uint8Array
  /** From the start of the batch. */
  readonly offsetBytes: number
}

/** The records (views) of a batch whose header was decoded; undefined if the payload is cut or damaged. */
export function decodeLogBatchRecords(header: LogBatchHeader, batch: Uint8Array): LogBatchRecord[] | undefined {
  const end = LOG_HEADER_BYTES + header.payloadBytes
  if (batch.length < end) return undefined
  if (xxh64(batch.subarray(LOG_HEADER_BYTES, end)) !== header.payloadChecksum) return undefined
  const view = viewOf(batch)
  const records: LogBatchRecord[] = []
  let at = LOG_HEADER_BYTES + LENGTH_BYTES * header.recordCount
  for (let index = 0; index < header.recordCount; index += 1) {
    const length = view.getUint32(LOG_HEADER_BYTES + LENGTH_BYTES * index, true)
    if (at + length > end) return undefined
    records.push({ bytes: batch.subarray(at, at + length), offsetBytes: at })
    at += length
  }
  return at === end ? records : undefined
}
