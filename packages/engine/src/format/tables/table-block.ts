/**
 * Table blocks: rows in key order with their offsets, a filter, and a checksum.
 *
 * Layout (little-endian): rows; offset of each row (4 each); filter; number of rows (4); length of the
 * filter (4); XXH64 of everything before (8). A row is: length of the key (2), flags (1), length of the
 * value (3), key, value. A key begins with the number of its family. Data blocks have no filter. In a
 * directory block a row describes a data block: its key is the last key of that block, its value the
 * block's offset and length in the file (4 each; of the offset the lower 32 bits), and the filter covers the keys of all
 * these blocks.
 *
 * In version 2 everything before the checksum is encrypted, with its tag behind it; the nonce is the block's offset, the
 * key the file's. Table blocks are told apart by the version of their file.
 *
 * The checksum is seeded by device, file number and offset (`blockSeed`), so a block that is read at another
 * place than it was written to fails: misdirected, swapped, stale and foreign blocks as well as flipped bits.
 */
import type { KeyObject } from "node:crypto"
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, openGcm, sealGcm } from "@hayloft/base/encryption/aes-gcm.js"
import { assert } from "@hayloft/base/assert.js"
import { xxh64, xxh64Into } from "@hayloft/base/simd/xxh64.js"
import type { DeviceId } from "@hayloft/base/ids.js"

const VERSION = 1
const ROW_HEADER_BYTES = 6
const TRAILER_BYTES = 16
const HASH_BYTES = 8

export const ROW_FLAGS = {
  /** The row is deleted. It hides older versions of the row. */
  tombstone: 1,
  /** The payload of the next older version of this row is already counted as dead. */
  countedOlder: 2,
} as const

/** Base of the checksum seeds of one file's blocks: `fileSeed + offset`. "users": of a file of users (`user-table`). */
export const fileSeed = (owner: DeviceId | "users", fileNumber: number): bigint =>
  xxh64(Buffer.from(`hayloft table ${VERSION} ${owner} ${fileNumber}`))

const blockSeed = (seed: bigint, offsetBytes: number): bigint => BigInt.asUintN(64, seed + BigInt(offsetBytes))

const OFFSET_RANGE = 2 ** 32

/** Returns where a block is, as the value of a row in a directory. */
export function packPlace(offsetBytes: number, lengthBytes: number): Buffer {
  const place = Buffer.alloc(8)
  place.writeUInt32LE(offsetBytes % OFFSET_RANGE, 0)
  place.writeUInt32LE(lengthBytes, 4)
  return place
}

/** The place that a value in a directory names; `fromBytes`: where the data of that partition begins. */
export function placeIn(
  bytes: Buffer,
  valueAt: number,
  fromBytes: number,
): { readonly offsetBytes: number; readonly lengthBytes: number } {
  const low = bytes.readUInt32LE(valueAt)
  const start = fromBytes % OFFSET_RANGE
  const behindBytes = low >= start ? low - start : low - start + OFFSET_RANGE
  return { offsetBytes: fromBytes + behindBytes, lengthBytes: bytes.readUInt32LE(valueAt + 4) }
}

/** The bytes that a row uses in a block. */
export const rowBytes = (keyBytes: number, valueBytes: number): number => ROW_HEADER_BYTES + keyBytes + valueBytes + 4

/** Collects the rows of one block. Reused for block after block. */
export class BlockBuilder {
  private bytes: Buffer
  private offsets: number[] = []
  private end = 0

  constructor(capacityBytes: number) {
    this.bytes = Buffer.allocUnsafe(capacityBytes)
  }

  get rows(): number {
    return this.offsets.length
  }

  /** The length of the block without a filter. */
  get lengthBytes(): number {
    return this.end + 4 * this.offsets.length + TRAILER_BYTES
  }

  /** The key of the last row. */
  lastKey(): Buffer {
    const at = this.offsets[this.offsets.length - 1]
    assert(at !== undefined, "the block has a row")
    return Buffer.from(this.bytes.subarray(at + ROW_HEADER_BYTES, at + ROW_HEADER_BYTES + this.bytes.readUInt16LE(at)))
  }

  add(key: Uint8Array, flags: number, value: Uint8Array): void {
    const at = this.begin(key.length, flags, value.length)
    this.bytes.set(key, at)
    this.bytes.set(value, at + key.length)
  }

  /** Like `add`, for a row whose key and value are adjacent. */
  addRow(bytes: Buffer, keyAt: number, valueAt: number, end: number, flags: number): void {
    const at = this.begin(valueAt - keyAt, flags, end - valueAt)
    bytes.copy(this.bytes, at, keyAt, end)
  }

  /** Begins a row. Returns the offset for its key; its value follows directly. */
  private begin(keyBytes: number, flags: number, valueBytes: number): number {
    const length = rowBytes(keyBytes, valueBytes)
    if (this.end + length > this.bytes.length) this.grow(length)
    const { bytes, end } = this
    this.offsets.push(end)
    bytes[end] = keyBytes
    bytes[end + 1] = keyBytes >>> 8
    bytes[end + 2] = flags
    bytes[end + 3] = valueBytes
    bytes[end + 4] = valueBytes >>> 8
    bytes[end + 5] = valueBytes >>> 16
    const keyAt = end + ROW_HEADER_BYTES
    this.end = keyAt + keyBytes + valueBytes
    return keyAt
  }

  private grow(byBytes: number): void {
    const larger = Buffer.allocUnsafe(2 * (this.bytes.length + byBytes))
    this.bytes.copy(larger, 0, 0, this.end)
    this.bytes = larger
  }

  /** The finished block, in newly allocated memory. The builder is empty again. */
  finish(seed: bigint, offsetBytes: number, filter: Uint8Array = NO_FILTER): Buffer {
    const block = Buffer.allocUnsafe(this.lengthBytes + filter.length)
    this.finishInto(block, 0, { seed, key: undefined, offsetBytes }, filter)
    return block
  }

  /**
   * Like `finish`, into memory with space for `lengthBytes`, the filter, and the tag if there is a key. Returns the end
   * of the block.
   */
  finishInto(
    target: Buffer,
    from: number,
    { seed, key, offsetBytes }: BlockAt,
    filter: Uint8Array = NO_FILTER,
  ): number {
    const { offsets, end } = this
    this.bytes.copy(target, from, 0, end)
    let at = from + end
    for (const offset of offsets) at = target.writeUInt32LE(offset, at)
    target.set(filter, at)
    at += filter.length
    at = target.writeUInt32LE(offsets.length, at)
    at = target.writeUInt32LE(filter.length, at)
    if (key !== undefined) at = sealInPlace(target, from, at, { key, offsetBytes })
    xxh64Into(target.subarray(from, at), blockSeed(seed, offsetBytes), target, at)
    this.offsets = []
    this.end = 0
    return at + HASH_BYTES
  }
}

const NO_FILTER = new Uint8Array(0)

/** The place of a block, and its key. */
interface BlockAt {
  /** The seed of the file. */
  readonly seed: bigint
  /** The key of the file; undefined if the file is plain. */
  readonly key: KeyObject | undefined
  readonly offsetBytes: number
}

/** The additional bytes of an encrypted block. */
export const BLOCK_SEAL_BYTES = GCM_TAG_BYTES

function nonceOf(offsetBytes: number): Buffer {
  const nonce = Buffer.alloc(GCM_NONCE_BYTES)
  nonce.writeBigUInt64BE(BigInt(offsetBytes), GCM_NONCE_BYTES - 8)
  return nonce
}

/** Returns the end of the tag. */
function sealInPlace(
  bytes: Buffer,
  from: number,
  to: number,
  { key, offsetBytes }: { readonly key: KeyObject; readonly offsetBytes: number },
): number {
  const { sealed, tag } = sealGcm(bytes.subarray(from, to), { key, nonce: nonceOf(offsetBytes) })
  bytes.set(sealed, from)
  bytes.set(tag, to)
  return to + tag.length
}

/**
 * The block that was written to this place, in the memory of `bytes`, which an encrypted one overwrites; undefined if
 * they are other bytes.
 */
export function openBlock(bytes: Buffer, { seed, key, offsetBytes }: BlockAt): Buffer | undefined {
  if (!isWholeBlock(bytes, seed, offsetBytes)) return undefined
  if (key === undefined) return bytes
  const tagAt = bytes.length - HASH_BYTES - GCM_TAG_BYTES
  if (tagAt < TRAILER_BYTES - HASH_BYTES) return undefined
  const tag = bytes.subarray(tagAt, tagAt + GCM_TAG_BYTES)
  const plain = openGcm(bytes.subarray(0, tagAt), tag, { key, nonce: nonceOf(offsetBytes) })
  if (plain === undefined) return undefined
  bytes.set(plain, 0)
  // `Block` expects a checksum at the end, and does not read it.
  return bytes.subarray(0, tagAt + HASH_BYTES)
}

const computed = Buffer.alloc(HASH_BYTES)

/** Returns true if the bytes, as stored, are those that were written to this place. */
export function isWholeBlock(bytes: Buffer, seed: bigint, offsetBytes: number): boolean {
  if (bytes.length < TRAILER_BYTES) return false
  const hashAt = bytes.length - HASH_BYTES
  xxh64Into(bytes.subarray(0, hashAt), blockSeed(seed, offsetBytes), computed, 0)
  for (let i = 0; i < HASH_BYTES; i += 1) if (computed[i] !== bytes[hashAt + i]) return false
  return true
}

/** A verified block, read in place. Row numbers are not checked: callers stay within `rows`. */
export class Block {
  readonly rows: number
  private readonly offsetsAt: number
  readonly filterAt: number
  readonly filterBytes: number

  constructor(readonly bytes: Buffer) {
    this.rows = bytes.readUInt32LE(bytes.length - TRAILER_BYTES)
    this.filterBytes = bytes.readUInt32LE(bytes.length - TRAILER_BYTES + 4)
    this.filterAt = bytes.length - TRAILER_BYTES - this.filterBytes
    this.offsetsAt = this.filterAt - 4 * this.rows
  }

  /** Returns where the row begins. */
  private rowAt(row: number): number {
    const { bytes } = this
    const at = this.offsetsAt + 4 * row
    return byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24)
  }

  keyAt(row: number): number {
    return this.rowAt(row) + ROW_HEADER_BYTES
  }

  /** The end of a row's key, which is the start of its value. */
  valueAt(keyAt: number): number {
    return keyAt + (byte(this.bytes, keyAt - 6) | (byte(this.bytes, keyAt - 5) << 8))
  }

  flags(keyAt: number): number {
    return byte(this.bytes, keyAt - 4)
  }

  valueBytes(keyAt: number): number {
    const { bytes } = this
    return byte(bytes, keyAt - 3) | (byte(bytes, keyAt - 2) << 8) | (byte(bytes, keyAt - 1) << 16)
  }

  /**
   * Returns the first row whose key is at or above the first `length` bytes of `key`, or `rows` if there is none.
   * It does not compare again the bytes that the bounds of the search share with the key.
   */
  search(key: Buffer, length: number): number {
    let [low, high, lowCommon, highCommon] = [0, this.rows, 0, 0]
    const { bytes } = this
    while (low < high) {
      const middle = (low + high) >>> 1
      const keyAt = this.keyAt(middle)
      const keyBytes = byte(bytes, keyAt - 6) | (byte(bytes, keyAt - 5) << 8)
      const end = keyBytes < length ? keyBytes : length
      let at = lowCommon < highCommon ? lowCommon : highCommon
      while (at < end && bytes[keyAt + at] === key[at]) at += 1
      const isBelow = at < end ? byte(bytes, keyAt + at) < byte(key, at) : keyBytes < length
      if (isBelow) {
        low = middle + 1
        lowCommon = at
      } else {
        high = middle
        highCommon = at
      }
    }
    return low
  }
}

/** A block in memory that contains only keys, in order: for `search`. */
export function blockOfKeys(keys: readonly Uint8Array[]): Block {
  const builder = new BlockBuilder(keys.reduce((sum, { length }) => sum + rowBytes(length, 0), TRAILER_BYTES))
  for (const key of keys) builder.add(key, 0, NO_FILTER)
  return new Block(builder.finish(0n, 0))
}

/** A byte at an offset that is known to be valid. */
const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0

/** Compares two keys in place, by bytes. */
export function compareBytes(
  a: Uint8Array,
  aFrom: number,
  aTo: number,
  b: Uint8Array,
  bFrom: number,
  bTo: number,
): number {
  const [aLength, bLength] = [aTo - aFrom, bTo - bFrom]
  const common = aLength < bLength ? aLength : bLength
  for (let i = 0; i < common; i += 1) {
    const order = byte(a, aFrom + i) - byte(b, bFrom + i)
    if (order !== 0) return order
  }
  return aLength - bLength
}
