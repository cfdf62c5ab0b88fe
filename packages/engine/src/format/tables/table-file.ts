/**
 * Table files: an immutable file of rows in key order.
 *
 * A file is a sequence of partitions of about 1 MiB, the end, parity (`table-parity`), and the end again. A partition
 * is its data blocks in sequence, followed by its directory block (`table-block`). The end is a footer, a positional
 * MessagePack array, and a tail: the footer's length (4), zero (4), its XXH64, seeded by device and file number (8),
 * and the magic "HLTABLE1" (8). Either end suffices. The footer contains the hash of the parity, and the manifest
 * repeats the footer's hash, so an older or foreign file of the same number is refused.
 *
 * In an encrypted file the footer is `[2, salt, sealed]`: the array above, encrypted under the key that the device
 * derives for this file and salt, with a nonce of ones, which is the offset of no block.
 * Refuses   Anything malformed with `corruptRow`.
 */
import type { KeyObject } from "node:crypto"
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, openGcm, sealGcm } from "@hayloft/base/encryption/aes-gcm.js"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { KIB } from "@hayloft/base/limits.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { noCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { packRecord, RecordReader } from "../encoding/pack.js"
import { RowSum } from "./row-sum.js"
import { fileSeed } from "./table-block.js"

const [FORMAT, SEALED_FORMAT] = [1, 2]
const FOOTER_NONCE = new Uint8Array(GCM_NONCE_BYTES).fill(0xff)
const MAGIC = Buffer.from("HLTABLE1", "latin1")
const TAIL_BYTES = 24
const HASH_BYTES = 8
/** Both ends of a file, and the parity between them, are within its last `END_BYTES_MAX` bytes. */
export const END_BYTES_MAX = 512 * KIB

/** A partition: its data is between the end of the previous one and its directory. */
export interface Partition {
  readonly lastKey: Buffer
  readonly directoryAt: number
  readonly directoryBytes: number
}

/** Rows of one family, including deleted ones. */
export interface FamilyTotal {
  readonly family: number
  readonly rows: number
  readonly sum: RowSum
}

export interface Footer {
  /** The level at writing; a manifest may have moved the file to a deeper level since. */
  readonly level: number
  readonly run: number
  /** Tombstones included. */
  readonly rows: number
  readonly tombstones: number
  /** Rows that seem to have an older version in an older table. */
  readonly replacing: number
  readonly firstKey: Buffer
  readonly lastKey: Buffer
  readonly totals: readonly FamilyTotal[]
  readonly partitions: readonly Partition[]
  /** XXH64 of the parity pages. */
  readonly parityHash: Uint8Array
  /** The seal of an encrypted file. */
  readonly seal?: TableSeal
}

/** The salt of an encrypted file, and the key that follows from it. */
export interface TableSeal {
  readonly salt: Uint8Array
  readonly key: KeyObject
}

/** The seeds of the checksums of one file: of its blocks and its parity, and of its ends. */
export interface TableSeeds {
  readonly blocks: bigint
  readonly end: bigint
}

/** The seeds of a file of the metadata store. */
export function storeSeeds(deviceId: DeviceId, number: number): TableSeeds {
  const seed = fileSeed(deviceId, number)
  return { blocks: seed, end: seed }
}

export function parityHash(parity: Uint8Array, seed: bigint): Buffer {
  const hash = Buffer.alloc(HASH_BYTES)
  xxh64Into(parity, seed, hash, 0)
  return hash
}

/** The bytes of data blocks and directories. */
export function dataBytesOf({ partitions }: Footer): number {
  const last = partitions.at(-1)
  return last === undefined ? 0 : last.directoryAt + last.directoryBytes
}

/** The end of a file; the manifest identifies it by `hash`. */
export function encodeEnd(footer: Footer, seed: bigint): { bytes: Buffer; hash: string } {
  const plain = packRecord(FORMAT, [
    footer.level,
    footer.run,
    footer.rows,
    footer.tombstones,
    footer.replacing,
    footer.firstKey,
    footer.lastKey,
    footer.totals.map(({ family, rows, sum }) => [family, rows, ...sum.halves]),
    footer.partitions.map(({ lastKey, directoryAt, directoryBytes }) => [lastKey, directoryAt, directoryBytes]),
    footer.parityHash,
  ])
  const packed = footer.seal === undefined ? plain : sealFooter(plain, footer.seal)
  const bytes = Buffer.alloc(packed.length + TAIL_BYTES)
  bytes.set(packed, 0)
  bytes.writeUInt32LE(packed.length, packed.length)
  xxh64Into(packed, seed, bytes, packed.length + 8)
  bytes.set(MAGIC, packed.length + 16)
  return { bytes, hash: hexOf(bytes.subarray(packed.length + 8, packed.length + 16)) }
}

function sealFooter(plain: Uint8Array, { salt, key }: TableSeal): Uint8Array {
  const { sealed, tag } = sealGcm(plain, { key, nonce: FOOTER_NONCE })
  return packRecord(SEALED_FORMAT, [salt, concatBytes([sealed, tag])])
}

/** The seal of an encrypted file with this salt. Throws without a cipher. */
type TableSealOf = (salt: Uint8Array) => TableSeal

const withoutCipher: TableSealOf = () => {
  throw noCipher("the metadata store")
}

/**
 * Reads the end of a file from its last bytes (`END_BYTES_MAX` of them, or the whole file): the last intact end.
 * Throws `corruptRow` if neither end is intact.
 */
export function decodeEnd(bytes: Buffer, seed: bigint, path: string, sealOf: TableSealOf = withoutCipher): Footer {
  let failure: Failure = corrupt(path, "the file has no tail")
  for (let to = bytes.length; to >= TAIL_BYTES;) {
    const magicAt = bytes.lastIndexOf(MAGIC, to - MAGIC.length)
    if (magicAt < TAIL_BYTES - MAGIC.length) break
    const tailAt = magicAt - (TAIL_BYTES - MAGIC.length)
    const from = tailAt - bytes.readUInt32LE(tailAt)
    try {
      if (from < 0 || bytes.readUInt32LE(tailAt + 4) !== 0) throw corrupt(path, "the file has no tail")
      return decodeFooter(bytes.subarray(from, magicAt + MAGIC.length), seed, path, sealOf)
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      failure = error
    }
    to = magicAt
  }
  throw failure
}

function decodeFooter(bytes: Buffer, seed: bigint, path: string, sealOf: TableSealOf): Footer {
  const packed = bytes.subarray(0, bytes.length - TAIL_BYTES)
  const hash = bytes.subarray(packed.length + 8, packed.length + 16)
  const computed = Buffer.alloc(HASH_BYTES)
  xxh64Into(packed, seed, computed, 0)
  if (!computed.equals(hash)) throw corrupt(path, "the footer fails its checksum")
  try {
    const stored = RecordReader.open("table footer", packed, SEALED_FORMAT)
    if (stored.format === FORMAT) return readFooter(stored)
    const seal = sealOf(stored.bytes())
    return { ...readFooter(openFooter(stored.bytes(), seal, path)), seal }
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    throw corrupt(path, error.message)
  }
}

function openFooter(sealed: Uint8Array, { key }: TableSeal, path: string): RecordReader {
  const tagAt = Math.max(0, sealed.length - GCM_TAG_BYTES)
  const plain = openGcm(sealed.subarray(0, tagAt), sealed.subarray(tagAt), { key, nonce: FOOTER_NONCE })
  if (plain === undefined) throw corrupt(path, "the footer does not open under the key of the store")
  return RecordReader.open("table footer", plain, FORMAT)
}

const readFooter = (record: RecordReader): Footer => ({
  level: record.number(),
  run: record.number(),
  rows: record.number(),
  tombstones: record.number(),
  replacing: record.number(),
  firstKey: Buffer.from(record.bytes()),
  lastKey: Buffer.from(record.bytes()),
  totals: record.rows(row => ({
    family: row.number(),
    rows: row.number(),
    sum: new RowSum(row.number(), row.number()),
  })),
  partitions: record.rows(row => ({
    lastKey: Buffer.from(row.bytes()),
    directoryAt: row.number(),
    directoryBytes: row.number(),
  })),
  parityHash: Buffer.from(record.bytes()),
})

const corrupt = (path: string, reason: string): Failure => fail("corruptRow", { path, reason })
