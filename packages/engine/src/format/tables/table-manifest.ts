/**
 * Table manifest: the table files of a device's metadata store.
 *
 * Envelope (little-endian): magic "HLTM" (4), version (2), zero (2), length of the payload (4), zero (4), payload,
 * XXH64 of everything before, seeded by the device (8). The payload is a positional MessagePack array.
 * In version 2 the payload is encrypted: a nonce (12), the array, and a tag (16).
 * Each generation contains the hash of the previous one. File numbers are never reused.
 * Refuses   Anything malformed, and manifests of other devices, with `corruptRecord`.
 */
import { openWithNonce, sealWithNonce } from "@hayloft/base/encryption/aes-gcm.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { rowKeyOf, type DeviceId, type RowKey } from "@hayloft/base/ids.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { noCipher, refusesPlain, type DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { packRecord, RecordReader } from "../encoding/pack.js"
import { RowSum } from "./row-sum.js"
import { fileSeed } from "./table-block.js"

const MAGIC = 0x4d54_4c48
const [FORMAT, SEALED_FORMAT] = [1, 2]
const HEADER_BYTES = 16
const HASH_BYTES = 8

/** A table file in the manifest. */
export interface TableEntry {
  readonly number: number
  /** Level 0: runs as written, newest first by `run`. From level 1 on, the files of a level do not overlap. */
  readonly level: number
  /** Files of one checkpoint are one run: they do not overlap. */
  readonly run: number
  /** The bytes of its rows, without parity and the ends. */
  readonly sizeBytes: number
  readonly rows: number
  readonly tombstones: number
  readonly replacing: number
  readonly footerHash: string
  readonly firstKey: Buffer
  readonly lastKey: Buffer
  /** Rows below this key have been merged into the next level and no longer count. */
  readonly from: Buffer | undefined
  /** The number of rows below `from`, and their sum. */
  readonly merged: { readonly rows: number; readonly sum: RowSum }
}

/** A range of keys, family number first, that a merge could not read. */
export interface DamagedRange {
  readonly from: Buffer
  /** Inclusive. */
  readonly to: Buffer
  readonly file: number
  readonly reason: string
}

export interface Manifest {
  readonly generation: number
  /** The hash of the previous generation; empty in the first. */
  readonly previousHash: string
  /** Higher than the number of any table file that was ever started. */
  readonly nextNumber: number
  readonly tables: readonly TableEntry[]
  /** Few and small: they change with every generation, and must not be in a block that can be damaged alone. */
  readonly marks: ReadonlyMap<RowKey, Uint8Array>
  readonly damaged: readonly DamagedRange[]
}

export const EMPTY_MANIFEST: Manifest = {
  generation: 0,
  previousHash: "",
  nextNumber: 1,
  tables: [],
  marks: new Map(),
  damaged: [],
}

const seedOf = (deviceId: DeviceId): bigint => fileSeed(deviceId, 0)

/** The number of bytes that tell whether a manifest is encrypted. */
export const MANIFEST_HEAD_BYTES = 6

/** Returns true if an encrypted manifest begins with these bytes. */
export const isSealedManifest = (head: Buffer): boolean =>
  head.length >= MANIFEST_HEAD_BYTES && head.readUInt16LE(4) === SEALED_FORMAT

export function encodeManifest(manifest: Manifest, deviceId: DeviceId, cipher?: DeviceCipher): Buffer {
  const plain = packRecord(FORMAT, [
    deviceId,
    manifest.generation,
    manifest.previousHash,
    manifest.nextNumber,
    manifest.tables.map(table => [
      table.number,
      table.level,
      table.run,
      table.sizeBytes,
      table.rows,
      table.tombstones,
      table.replacing,
      table.footerHash,
      table.firstKey,
      table.lastKey,
      table.from ?? null,
      table.merged.rows,
      ...table.merged.sum.halves,
    ]),
    [...manifest.marks].map(([key, value]) => [Buffer.from(key, "latin1"), value]),
    manifest.damaged.map(({ from, to, file, reason }) => [from, to, file, reason]),
  ])
  const packed = cipher ? sealWithNonce(plain, { key: cipher.manifestKey, nonce: cipher.nonce() }) : plain
  const hashAt = HEADER_BYTES + packed.length
  const bytes = Buffer.alloc(hashAt + HASH_BYTES)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(cipher === undefined ? FORMAT : SEALED_FORMAT, 4)
  bytes.writeUInt32LE(packed.length, 8)
  bytes.set(packed, HEADER_BYTES)
  xxh64Into(bytes.subarray(0, hashAt), seedOf(deviceId), bytes, hashAt)
  return bytes
}

/** An encoded manifest without bytes behind it: a file that a tool has lengthened is intact. */
export const manifestIn = (file: Buffer): Buffer =>
  file.length < HEADER_BYTES ? file : file.subarray(0, HEADER_BYTES + file.readUInt32LE(8) + HASH_BYTES)

/** Identifies the content of an encoded manifest. */
export const manifestHash = (encoded: Uint8Array): string => hexOf(encoded.subarray(-HASH_BYTES))

/**
 * Throws `corruptRecord`, also for a plain one where the cipher refuses that; `invalidConfig` if a later release wrote it; `wrongMasterKey` if it is encrypted under another
 * key, or there is none.
 */
export function decodeManifest(bytes: Buffer, deviceId: DeviceId, cipher?: DeviceCipher): Manifest {
  const hashAt = bytes.length - HASH_BYTES
  if (hashAt < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) throw corrupt("magic")
  if (bytes.readBigUInt64LE(hashAt) !== xxh64(bytes.subarray(0, hashAt), seedOf(deviceId))) throw corrupt("checksum")
  const format = bytes.readUInt16LE(4)
  if (format > SEALED_FORMAT) {
    throw fail("invalidConfig", { message: "the metadata store was written by a later release of Hayloft" })
  }
  const packed = bytes.subarray(HEADER_BYTES, hashAt)
  if (bytes.readUInt32LE(8) !== packed.length) throw corrupt("length")
  // Another program that writes to the disk could put a plain one in its place.
  if (format === FORMAT && refusesPlain(cipher)) throw corrupt("encryption")
  const plain = format === SEALED_FORMAT ? openManifest(packed, cipher) : packed
  const record = RecordReader.open("metadata manifest", plain, FORMAT)
  if (record.text() !== deviceId) throw corrupt("device")
  return {
    generation: record.number(),
    previousHash: record.text(),
    nextNumber: record.number(),
    tables: record.rows(readEntry),
    marks: new Map(
      record.rows(row => [rowKeyOf(Buffer.from(row.bytes()).toString("latin1")), Buffer.from(row.bytes())]),
    ),
    damaged: record.rows(row => ({
      from: Buffer.from(row.bytes()),
      to: Buffer.from(row.bytes()),
      file: row.number(),
      reason: row.text(),
    })),
  }
}

function openManifest(packed: Buffer, cipher: DeviceCipher | undefined): Buffer {
  if (cipher === undefined) throw noCipher("the metadata store")
  const plain = openWithNonce(packed, { key: cipher.manifestKey })
  if (plain === undefined)
    throw fail("wrongMasterKey", { message: "the metadata store is encrypted under another key" })
  return plain
}

const readEntry = (row: RecordReader): TableEntry => ({
  number: row.number(),
  level: row.number(),
  run: row.number(),
  sizeBytes: row.number(),
  rows: row.number(),
  tombstones: row.number(),
  replacing: row.number(),
  footerHash: row.text(),
  firstKey: Buffer.from(row.bytes()),
  lastKey: Buffer.from(row.bytes()),
  from: row.optional(() => Buffer.from(row.bytes())),
  merged: { rows: row.number(), sum: new RowSum(row.number(), row.number()) },
})

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "metadata manifest", field })
