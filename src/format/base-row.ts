/**
 * Base rows: how a row rests in the store. LMDB has no page checksums, so each value ends with a
 * 64-bit hash of (family, key, value), verified at every decode.
 *
 * Layout: flags (1); where flagged, the payload's place in a payload volume (volume 4, offset 8,
 * length 4), which is this device's own and outside the hash and the replicated value; value; hash (8).
 * The payload needle verifies itself.
 */
import { FAMILIES, type Family } from "../base/families.js"
import { fail, type Failure } from "../base/failures.js"
import { rowKeyOf, type RowKey } from "../base/ids.js"
import { isXxh64OfPiece, xxh64, xxh64Into, XXH64_PIECE, xxh64OfPieceInto } from "../base/xxh64.js"
import { bufferOf } from "./buffer-of.js"

export interface VolumePlace {
  readonly volume: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface BaseRow {
  readonly value: Uint8Array
  readonly place: VolumePlace | undefined
}

const HAS_PLACE = 1
const PLACE_BYTES = 16
const HASH_BYTES = 8

function fill(hashed: Buffer, family: Family, key: RowKey, value: Uint8Array): void {
  hashed[0] = FAMILIES[family]
  hashed.write(key, 1, "latin1")
  hashed.set(value, 1 + key.length)
}

/** Usual rows are put together where they are hashed. */
function writeHash(family: Family, key: RowKey, value: Uint8Array, target: Uint8Array, at: number): void {
  const lengthBytes = 1 + key.length + value.length
  const isUsual = lengthBytes <= XXH64_PIECE.length
  const hashed = isUsual ? XXH64_PIECE : Buffer.allocUnsafe(lengthBytes)
  fill(hashed, family, key, value)
  if (isUsual) xxh64OfPieceInto(lengthBytes, target, at)
  else xxh64Into(hashed, 0n, target, at)
}

function isHash(family: Family, key: RowKey, value: Uint8Array, bytes: Buffer, at: number): boolean {
  const lengthBytes = 1 + key.length + value.length
  if (lengthBytes <= XXH64_PIECE.length) {
    fill(XXH64_PIECE, family, key, value)
    return isXxh64OfPiece(lengthBytes, bytes, at)
  }
  const hashed = Buffer.allocUnsafe(lengthBytes)
  fill(hashed, family, key, value)
  return xxh64(hashed) === bytes.readBigUInt64LE(at)
}

export function encodeBaseRow(
  family: Family,
  key: RowKey,
  value: Uint8Array,
  place: VolumePlace | undefined,
): Uint8Array {
  const placeBytes = place ? PLACE_BYTES : 0
  const row = Buffer.allocUnsafe(1 + placeBytes + value.length + HASH_BYTES)
  row[0] = place ? HAS_PLACE : 0
  if (place) {
    row.writeUInt32LE(place.volume, 1)
    row.writeBigUInt64LE(BigInt(place.offsetBytes), 5)
    row.writeUInt32LE(place.lengthBytes, 13)
  }
  row.set(value, 1 + placeBytes)
  writeHash(family, key, value, row, row.length - HASH_BYTES)
  return row
}

const corrupt = (family: Family, key: RowKey): Failure =>
  fail("corruptRow", { family, rowKey: Buffer.from(key, "latin1").toString("hex") })

/**
 * Base rows one after another, each put together where it is hashed and left there: key and value of the last
 * one are `bytes[KEY_AT…valueAt)` and `bytes[valueAt…end)` until anything is hashed.
 */
export class BaseRowReader {
  static readonly KEY_AT = 1
  bytes = XXH64_PIECE
  valueAt = BaseRowReader.KEY_AT
  end = BaseRowReader.KEY_AT

  constructor(private readonly family: Family) {}

  /** The key of the next row. */
  key(bytes: Uint8Array, from: number, to: number): void {
    this.bytes = XXH64_PIECE
    this.valueAt = BaseRowReader.KEY_AT + to - from
    copyBytes(bytes, from, to, this.bytes, BaseRowReader.KEY_AT)
  }

  /** The rest of it, as it rests in the base. Throws `corruptRow` where the hash does not fit. */
  value(bytes: Uint8Array, lengthBytes: number): void {
    const flags = bytes[0]
    if (lengthBytes === 0 || flags === undefined || flags > HAS_PLACE) throw this.corrupt()
    const from = 1 + (flags & HAS_PLACE ? PLACE_BYTES : 0)
    const hashAt = lengthBytes - HASH_BYTES
    if (hashAt < from) throw this.corrupt()
    this.end = this.valueAt + hashAt - from
    if (this.end > XXH64_PIECE.length) this.bytes = Buffer.concat([XXH64_PIECE.subarray(0, this.valueAt)], this.end)
    this.bytes[0] = FAMILIES[this.family]
    copyBytes(bytes, from, hashAt, this.bytes, this.valueAt)
    const isWhole =
      this.bytes === XXH64_PIECE
        ? isXxh64OfPiece(this.end, bytes, hashAt)
        : xxh64(this.bytes) === bufferOf(bytes).readBigUInt64LE(hashAt)
    if (!isWhole) throw this.corrupt()
  }

  private corrupt(): Failure {
    return corrupt(this.family, rowKeyOf(this.bytes.toString("latin1", BaseRowReader.KEY_AT, this.valueAt)))
  }
}

/** So few bytes that a loop is faster than calling for a copy. */
const LOOP_BYTES_MAX = 192

function copyBytes(source: Uint8Array, from: number, to: number, target: Buffer, at: number): void {
  if (to - from > LOOP_BYTES_MAX) target.set(source.subarray(from, to), at)
  else for (let i = from; i < to; i += 1) target[at + i - from] = source[i] ?? 0
}

/** Throws `corruptRow` where the hash does not fit. The value is a view. */
export function decodeBaseRow(family: Family, key: RowKey, bytes: Uint8Array): BaseRow {
  const row = bufferOf(bytes)
  const flags = row[0]
  if (flags === undefined || flags > HAS_PLACE) throw corrupt(family, key)
  const valueAt = 1 + (flags & HAS_PLACE ? PLACE_BYTES : 0)
  if (row.length < valueAt + HASH_BYTES) throw corrupt(family, key)
  const value = row.subarray(valueAt, row.length - HASH_BYTES)
  if (!isHash(family, key, value, row, row.length - HASH_BYTES)) throw corrupt(family, key)
  if (!(flags & HAS_PLACE)) return { value, place: undefined }
  return {
    value,
    place: {
      volume: row.readUInt32LE(1),
      offsetBytes: Number(row.readBigUInt64LE(5)),
      lengthBytes: row.readUInt32LE(13),
    },
  }
}
