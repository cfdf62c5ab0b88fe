/**
 * Metadata backup: the rows of a tablet in chunks that are stored as objects of the system bucket, so that
 * metadata survives the loss of every metadata store and every log.
 *
 * A snapshot is the chunks 0, 1, 2 … of one `(tabletId, incarnation, fromPosition)`; it is complete if
 * the last of them is marked as the last. Each row is as of some moment between
 * `fromPosition` and the last chunk's `atPosition`, and all rows of one object key are as of the same
 * moment. A row may occur twice; the later one wins. Uploads whose ids sort below
 * `decidedBelow` were in their rows, or aborted, when the snapshot began: if a complete snapshot does not
 * contain such an upload, no row referenced it by then.
 *
 * Chunk, version 1 and 2, little-endian: magic "HMbk" (4), version (1), flags (1; 1: the last chunk), zero (2),
 * store (16), tablet (4), incarnation (4), from position (8), at position (8), started in ms (8), decided
 * below (8, the first bytes of an upload id), number (4), records (4), records of the chunks before (8),
 * length of the records (4), zero (4); then the records; then XXH64 of all that precedes (8), seeded.
 * In version 2 the records are encrypted: a nonce (12), the records, and a tag (16), which covers the first 88 bytes as
 * well; their length includes these 28 bytes.
 * Record: family (1), flags (1; 1: has a payload), key length (2), value length (4), payload length (4),
 * key, value, payload.
 *
 * Refuses   Anything that is not a whole chunk as it was written, with `corruptRecord`.
 * Limits    METADATA_CHUNK_BYTES_MAX.
 */
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, openWithNonce, sealWithNonce } from "@hayloft/base/encryption/aes-gcm.js"
import { assert, must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { noCipher, refusesPlain, type DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail } from "@hayloft/base/failures.js"
import { FAMILIES, familyOfNumber, type Family } from "@hayloft/base/rows/families.js"
import { parseIncarnation, parsePosition, parseStoreId, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import type { Incarnation, Position, RowKey, StoreId, TabletId, UploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { bufferOf } from "./encoding/buffer-of.js"

export interface MetadataChunkHeader {
  readonly storeId: StoreId
  readonly tabletId: TabletId
  /** The incarnation of the process that wrote it. */
  readonly incarnation: Incarnation
  /** The committed position when the snapshot began. */
  readonly fromPosition: Position
  /** The committed position when this chunk was written. */
  readonly atPosition: Position
  /** Wall clock. */
  readonly startedMs: number
  readonly decidedBelow: UploadMark
  /** 0, 1, 2 … in its snapshot. */
  readonly number: number
  readonly isLast: boolean
  /** The records in the chunks before this one. */
  readonly recordsBefore: number
}

/** The first 16 digits of an upload id: the process incarnation that generated it, and its number in that process. */
export type UploadMark = string

export interface MetadataRecord {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
  /** Inline payload of the row. */
  readonly payload: Uint8Array | undefined
}

export interface MetadataChunk {
  readonly header: MetadataChunkHeader
  /** Values and payloads are views of the chunk's bytes. */
  readonly records: readonly MetadataRecord[]
}

export const UPLOAD_MARK_DIGITS = 16
const METADATA_CHUNK_BYTES_MAX = 8 * MIB
const MAGIC = 0x6b62_4d48 // "HMbk"
const [PLAIN_VERSION, SEALED_VERSION] = [1, 2]
const LAST = 1
const HAS_PAYLOAD = 1
const HEAD_BYTES = 88
const RECORD_HEAD_BYTES = 12
const HASH_BYTES = 8
const SEED = 0x6d62_6163_6b75_70n

/** Returns true if the upload was committed or aborted when the snapshot of this mark began. */
export const isDecidedBelow = (uploadId: UploadId, mark: UploadMark): boolean =>
  uploadId.slice(0, UPLOAD_MARK_DIGITS) < mark

/** Collects the records of one chunk. */
export class MetadataChunkWriter {
  private readonly pieces: Uint8Array[] = []
  private bytes: number
  private count = 0

  /** `cipher`: encrypts the records. */
  constructor(private readonly cipher?: DeviceCipher) {
    this.bytes = HEAD_BYTES + (cipher === undefined ? 0 : GCM_NONCE_BYTES + GCM_TAG_BYTES) + HASH_BYTES
  }

  get records(): number {
    return this.count
  }

  /** The present length of the whole chunk. */
  get lengthBytes(): number {
    return this.bytes
  }

  /** The bytes that a record adds to a chunk. */
  static bytesOf({ key, value, payload }: MetadataRecord): number {
    return RECORD_HEAD_BYTES + key.length + value.length + (payload?.length ?? 0)
  }

  add(record: MetadataRecord): void {
    const { family, key, value, payload } = record
    const head = Buffer.alloc(RECORD_HEAD_BYTES)
    head.set([FAMILIES[family], payload === undefined ? 0 : HAS_PAYLOAD])
    head.writeUInt16LE(key.length, 2)
    head.writeUInt32LE(value.length, 4)
    head.writeUInt32LE(payload?.length ?? 0, 8)
    this.pieces.push(head, Buffer.from(key, "latin1"), value, ...(payload === undefined ? [] : [payload]))
    this.bytes += MetadataChunkWriter.bytesOf(record)
    this.count += 1
  }

  finish(header: MetadataChunkHeader): Uint8Array {
    assert(this.bytes <= METADATA_CHUNK_BYTES_MAX, "a chunk is within its limit")
    const chunk = Buffer.alloc(this.bytes)
    chunk.writeUInt32LE(MAGIC, 0)
    chunk.set([this.cipher === undefined ? PLAIN_VERSION : SEALED_VERSION, header.isLast ? LAST : 0], 4)
    chunk.set(must(bytesOfHex(header.storeId), "a store id is hex"), 8)
    chunk.writeUInt32LE(header.tabletId, 24)
    chunk.writeUInt32LE(header.incarnation, 28)
    chunk.writeBigUInt64LE(BigInt(header.fromPosition), 32)
    chunk.writeBigUInt64LE(BigInt(header.atPosition), 40)
    chunk.writeBigUInt64LE(BigInt(header.startedMs), 48)
    chunk.set(must(bytesOfHex(header.decidedBelow), "a mark is hex"), 56)
    chunk.writeUInt32LE(header.number, 64)
    chunk.writeUInt32LE(this.count, 68)
    chunk.writeBigUInt64LE(BigInt(header.recordsBefore), 72)
    chunk.writeUInt32LE(this.bytes - HEAD_BYTES - HASH_BYTES, 80)
    const records = Buffer.concat(this.pieces)
    const stored = this.cipher ? sealRecords(records, chunk, this.cipher) : records
    chunk.set(stored, HEAD_BYTES)
    const at = HEAD_BYTES + stored.length
    xxh64Into(chunk.subarray(0, at), SEED, chunk, at)
    return chunk
  }
}

const sealRecords = (records: Uint8Array, chunk: Uint8Array, cipher: DeviceCipher): Uint8Array =>
  sealWithNonce(records, { key: cipher.backupKey, nonce: cipher.nonce(), aad: chunk.subarray(0, HEAD_BYTES) })

/** Throws `corruptRecord` for anything but a whole chunk; `wrongMasterKey` for an encrypted one without a cipher. */
export function decodeMetadataChunk(bytes: Uint8Array, cipher?: DeviceCipher): MetadataChunk {
  const chunk = bufferOf(bytes)
  const corrupt = (reason: string) => fail("corruptRecord", { what: "metadata backup", reason })
  if (chunk.length < HEAD_BYTES + HASH_BYTES || chunk.readUInt32LE(0) !== MAGIC) throw corrupt("head")
  if (chunk.length > METADATA_CHUNK_BYTES_MAX) throw corrupt("length")
  const end = chunk.length - HASH_BYTES
  if (xxh64(chunk.subarray(0, end), SEED) !== chunk.readBigUInt64LE(end)) throw corrupt("checksum")
  const version = chunk[4]
  if (version !== PLAIN_VERSION && version !== SEALED_VERSION) throw corrupt("version")
  if (chunk.readUInt32LE(80) !== end - HEAD_BYTES) throw corrupt("length")
  const stored = chunk.subarray(HEAD_BYTES, end)
  if (version === PLAIN_VERSION && refusesPlain(cipher)) throw corrupt("encryption")
  const records = version === SEALED_VERSION ? openRecords(stored, chunk, cipher) : stored
  if (records === undefined) throw corrupt("records do not open under the key of the store")
  try {
    return { header: readHeader(chunk), records: readRecords(records, chunk.readUInt32LE(68)) }
  } catch (error) {
    throw fail("corruptRecord", { what: "metadata backup" }, error)
  }
}

function openRecords(stored: Buffer, chunk: Buffer, cipher: DeviceCipher | undefined): Buffer | undefined {
  if (cipher === undefined) throw noCipher("the backup of the metadata")
  return openWithNonce(stored, { key: cipher.backupKey, aad: chunk.subarray(0, HEAD_BYTES) })
}

const readHeader = (chunk: Buffer): MetadataChunkHeader => ({
  storeId: parseStoreId(hexOf(chunk.subarray(8, 24))),
  tabletId: parseTabletId(chunk.readUInt32LE(24)),
  incarnation: parseIncarnation(chunk.readUInt32LE(28)),
  fromPosition: parsePosition(Number(chunk.readBigUInt64LE(32))),
  atPosition: parsePosition(Number(chunk.readBigUInt64LE(40))),
  startedMs: Number(chunk.readBigUInt64LE(48)),
  decidedBelow: hexOf(chunk.subarray(56, 64)),
  number: chunk.readUInt32LE(64),
  isLast: ((chunk[5] ?? 0) & LAST) !== 0,
  recordsBefore: Number(chunk.readBigUInt64LE(72)),
})

function readRecords(bytes: Buffer, count: number): readonly MetadataRecord[] {
  const records: MetadataRecord[] = []
  let at = 0
  const take = (length: number): Buffer => {
    assert(at + length <= bytes.length, "the records end early")
    at += length
    return bytes.subarray(at - length, at)
  }
  for (let i = 0; i < count; i += 1) {
    const head = take(RECORD_HEAD_BYTES)
    const family = familyOfNumber(head.readUInt8(0))
    const flags = head.readUInt8(1)
    assert(flags <= HAS_PAYLOAD, "unknown flags")
    const key = rowKeyOf(take(head.readUInt16LE(2)).toString("latin1"))
    const value = take(head.readUInt32LE(4))
    const payload = take(head.readUInt32LE(8))
    // A later release may know more families than this one.
    if (family === undefined) continue
    records.push({ family, key, value, payload: flags === HAS_PAYLOAD ? payload : undefined })
  }
  assert(at === bytes.length, "nothing follows the records")
  return records
}
