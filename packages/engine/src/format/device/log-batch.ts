/**
 * Log batch: one append to a device's commit log. Version 1 is plain, version 2 encrypted.
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
 *
 * In version 2 the payload is a nonce (12), the encrypted lengths and records, and a tag (16), which covers bytes 0–63
 * of the header as well. The checksums cover the encrypted bytes: where the log ends is decided without a key.
 * Refuses   Anything that is not exactly what `encodeLogBatch` writes: decoding returns undefined.
 */
import type { KeyObject } from "node:crypto"
import { decryptPart, GCM_NONCE_BYTES, GCM_TAG_BYTES, openGcm, sealGcm } from "@hayloft/base/encryption/aes-gcm.js"
import { assert } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { roundUp } from "@hayloft/base/text/round.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { noCipher, refusesPlain, type DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"

export const LOG_HEADER_BYTES = 80
/** The place where the encrypted bytes of a batch begin. */
export const LOG_SEALED_AT = LOG_HEADER_BYTES + GCM_NONCE_BYTES
export const LOG_PAGE_BYTES = 4096
/** Lengths and records of one batch. */
export const LOG_PAYLOAD_BYTES_MAX = 16 * MIB
const MAGIC = 0x424c_4c48
const [PLAIN_VERSION, SEALED_VERSION] = [1, 2]
const PAYLOAD_CHECKSUM_AT = 64
const HEADER_CHECKSUM_AT = 72
const LENGTH_BYTES = 4
const SEAL_BYTES = GCM_NONCE_BYTES + GCM_TAG_BYTES

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
  /** The size of the stored payload; if it is encrypted, this includes the nonce and the tag. */
  readonly payloadBytes: number
  readonly payloadChecksum: bigint
  /** The payload is encrypted. */
  readonly isSealed?: true
  /** Identifies this batch and, through `previous`, all before it. */
  readonly checksum: bigint
}

export type LogBatchHead = Omit<
  LogBatchHeader,
  "recordCount" | "payloadBytes" | "payloadChecksum" | "isSealed" | "checksum"
>

/** Bytes that a batch occupies in its segment. */
export const batchBytes = (payloadBytes: number): number => roundUp(LOG_HEADER_BYTES + payloadBytes, LOG_PAGE_BYTES)

/** The stored payload of a batch with these records. */
export const payloadBytesOf = (records: readonly Uint8Array[], cipher?: DeviceCipher): number =>
  records.reduce((sum, record) => sum + LENGTH_BYTES + record.length, cipher === undefined ? 0 : SEAL_BYTES)

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

interface EncodedLogBatch {
  readonly bytes: Uint8Array
  readonly header: LogBatchHeader
  readonly recordOffsets: readonly number[]
  /** The nonce that `decryptLogged` needs for an encrypted batch. */
  readonly nonce: Uint8Array | undefined
}

/** The whole batch, padded to pages, and the offset of each record. Uses `memory` if that is large enough. */
export function encodeLogBatch(
  head: LogBatchHead,
  records: readonly Uint8Array[],
  memory?: Uint8Array,
  cipher?: DeviceCipher,
): EncodedLogBatch {
  const payloadBytes = payloadBytesOf(records, cipher)
  const plainAt = cipher === undefined ? LOG_HEADER_BYTES : LOG_SEALED_AT
  assert(payloadBytes <= LOG_PAYLOAD_BYTES_MAX, "a log batch is over its limit")
  const lengthBytes = batchBytes(payloadBytes)
  const bytes =
    memory && memory.length >= lengthBytes ? memory.subarray(0, lengthBytes) : Buffer.allocUnsafeSlow(lengthBytes)
  const view = viewOf(bytes)
  const recordOffsets: number[] = []
  let at = plainAt + LENGTH_BYTES * records.length
  records.forEach((record, index) => {
    view.setUint32(plainAt + LENGTH_BYTES * index, record.length, true)
    bytes.set(record, at)
    recordOffsets.push(at)
    at += record.length
  })
  bytes.fill(0, at)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, cipher === undefined ? PLAIN_VERSION : SEALED_VERSION, true)
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
  const nonce = cipher && sealPayload(bytes, payloadBytes, cipher.logKey(head.segment), cipher.nonce())
  const payloadChecksum = xxh64(bytes.subarray(LOG_HEADER_BYTES, LOG_HEADER_BYTES + payloadBytes))
  view.setBigUint64(PAYLOAD_CHECKSUM_AT, payloadChecksum, true)
  const checksum = xxh64(bytes.subarray(0, HEADER_CHECKSUM_AT))
  view.setBigUint64(HEADER_CHECKSUM_AT, checksum, true)
  const sealed = nonce && ({ isSealed: true } as const)
  const header = { ...head, recordCount: records.length, payloadBytes, payloadChecksum, ...sealed, checksum }
  return { bytes, header, recordOffsets, nonce }
}

/** Encrypts lengths and records in place, behind the nonce. Returns the nonce. */
function sealPayload(bytes: Uint8Array, payloadBytes: number, key: KeyObject, nonce: Uint8Array): Uint8Array {
  const tagAt = LOG_HEADER_BYTES + payloadBytes - GCM_TAG_BYTES
  const aad = bytes.subarray(0, PAYLOAD_CHECKSUM_AT)
  const { sealed, tag } = sealGcm(bytes.subarray(LOG_SEALED_AT, tagAt), { key, nonce, aad })
  bytes.set(nonce, LOG_HEADER_BYTES)
  bytes.set(sealed, LOG_SEALED_AT)
  bytes.set(tag, tagAt)
  return nonce
}

/** The header at the front of the bytes; undefined if there is none, or a damaged one. */
export function decodeLogBatchHeader(bytes: Uint8Array): LogBatchHeader | undefined {
  if (bytes.length < LOG_HEADER_BYTES) return undefined
  const view = viewOf(bytes)
  const version = view.getUint16(4, true)
  if (view.getUint32(0, true) !== MAGIC || (version !== PLAIN_VERSION && version !== SEALED_VERSION)) return undefined
  if (view.getUint16(6, true) !== LOG_HEADER_BYTES) return undefined
  const checksum = view.getBigUint64(HEADER_CHECKSUM_AT, true)
  if (xxh64(bytes.subarray(0, HEADER_CHECKSUM_AT)) !== checksum) return undefined
  const [payloadBytes, recordCount] = [view.getUint32(28, true), view.getUint32(20, true)]
  const sealBytes = version === SEALED_VERSION ? SEAL_BYTES : 0
  if (payloadBytes > LOG_PAYLOAD_BYTES_MAX || LENGTH_BYTES * recordCount + sealBytes > payloadBytes) return undefined
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
    payloadChecksum: view.getBigUint64(PAYLOAD_CHECKSUM_AT, true),
    ...(version === SEALED_VERSION ? { isSealed: true as const } : undefined),
    checksum,
  }
}

export interface LogBatchRecord {
  readonly bytes: Uint8Array
  /** From the start of the batch. */
  readonly offsetBytes: number
}

/** Returns true if the payload of a batch whose header was decoded is neither cut nor damaged. Needs no key. */
export function isWholeLogBatch({ payloadBytes, payloadChecksum }: LogBatchHeader, batch: Uint8Array): boolean {
  const end = LOG_HEADER_BYTES + payloadBytes
  return batch.length >= end && xxh64(batch.subarray(LOG_HEADER_BYTES, end)) === payloadChecksum
}

/** The records of a batch whose header was decoded; undefined if the payload is cut or damaged. Throws as below. */
export const decodeLogBatchRecords = (
  header: LogBatchHeader,
  batch: Uint8Array,
  cipher?: DeviceCipher,
): LogBatchRecord[] | undefined => (isWholeLogBatch(header, batch) ? recordsOfWhole(header, batch, cipher) : undefined)

/**
 * The records (views, or of an encrypted batch copies) of a whole batch; undefined if their lengths do not add up.
 * Throws `corruptSeal` if the batch was encrypted under another key, or is plain where that is not accepted, and `wrongMasterKey` without one: neither means
 * that a batch was not written to its end.
 */
export function recordsOfWhole(
  header: LogBatchHeader,
  batch: Uint8Array,
  cipher: DeviceCipher | undefined,
): LogBatchRecord[] | undefined {
  const payload = openPayload(header, batch, cipher)
  const from = header.isSealed ? LOG_SEALED_AT : LOG_HEADER_BYTES
  const view = viewOf(payload)
  const records: LogBatchRecord[] = []
  let at = LENGTH_BYTES * header.recordCount
  for (let index = 0; index < header.recordCount; index += 1) {
    const length = view.getUint32(LENGTH_BYTES * index, true)
    if (at + length > payload.length) return undefined
    records.push({ bytes: payload.subarray(at, at + length), offsetBytes: from + at })
    at += length
  }
  return at === payload.length ? records : undefined
}

/** Lengths and records. */
function openPayload(header: LogBatchHeader, batch: Uint8Array, cipher: DeviceCipher | undefined): Uint8Array {
  const { segment, offsetBytes, payloadBytes, isSealed } = header
  const end = LOG_HEADER_BYTES + payloadBytes
  if (!isSealed) {
    if (refusesPlain(cipher)) throw fail("corruptSeal", { what: "a plain batch of the log", segment, offsetBytes })
    return batch.subarray(LOG_HEADER_BYTES, end)
  }
  if (cipher === undefined) throw noCipher("the log")
  const nonce = sealedLogNonce(batch)
  const gcm = { key: cipher.logKey(segment), nonce, aad: batch.subarray(0, PAYLOAD_CHECKSUM_AT) }
  const tagAt = end - GCM_TAG_BYTES
  const plain = openGcm(batch.subarray(LOG_SEALED_AT, tagAt), batch.subarray(tagAt, end), gcm)
  if (plain === undefined) throw fail("corruptSeal", { what: "a batch of the log", segment, offsetBytes })
  return plain
}

/** The nonce of an encrypted batch. */
export const sealedLogNonce = (batch: Uint8Array): Uint8Array =>
  Uint8Array.from(batch.subarray(LOG_HEADER_BYTES, LOG_SEALED_AT))

/** The data that decrypts a part of a record without the rest of its batch. */
export interface SealedRecord {
  readonly nonce: Uint8Array
  /** The place where the encrypted bytes of the batch begin in its segment. */
  readonly fromBytes: number
}

/** Bytes from an offset in a segment, inside one record. Not verified. */
export const decryptLogged = (
  bytes: Uint8Array,
  offsetBytes: number,
  { nonce, fromBytes }: SealedRecord,
  key: KeyObject,
): Uint8Array => decryptPart(bytes, offsetBytes - fromBytes, { key, nonce })
