/**
 * Row keys: how a bucket, an object key and a suffix become one byte string that sorts as listings need.
 *
 * `bucket id (8, big-endian) + each key byte plus one + 0x00 + suffix`. UTF-8 never uses 0xF5–0xFF, so
 * adding one cannot overflow; order is kept; and the terminator sorts below every key byte, so that
 * the rows of "a" come before those of "a!" whatever their suffixes are. At most 8 + 1,025 + 18 bytes.
 */
import type {
  AccountId,
  BucketId,
  BucketName,
  ItemKey,
  MultipartId,
  ObjectKey,
  Position,
  RowKey,
  UploadId,
} from "@hayloft/base/ids.js"
import { bytesOfByteString, parseAccountId, parseBucketId, parseUploadId, rowKeyOf } from "@hayloft/base/ids.js"
import { afterPrefix, bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { assert, must } from "@hayloft/base/assert.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { bytesOfVersionId } from "./objects/version-id.js"

const TERMINATOR = "\x00"
/** The place where the object key begins in a row key, after the bucket id. */
export const KEY_IN_ROW_AT = 8
const MULTIPART_ID_BYTES = 16

function u64Text(value: number): string {
  assert(Number.isSafeInteger(value) && value >= 0, () => `not a whole number: ${value}`)
  return u32Text(Math.floor(value / 0x1_0000_0000)) + u32Text(value % 0x1_0000_0000)
}

export function u32Text(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}

export const u16Text = (value: number): string => String.fromCharCode((value >>> 8) & 0xff, value & 0xff)

const readU64Text = (text: string): number => readU32Text(text, 0) * 0x1_0000_0000 + readU32Text(text, 4)

function readU32Text(text: string, at: number): number {
  const high = (text.charCodeAt(at) << 24) | (text.charCodeAt(at + 1) << 16)
  return (high | (text.charCodeAt(at + 2) << 8) | text.charCodeAt(at + 3)) >>> 0
}

/** 64 bits of the complement, so that newer orders sort first. */
function complementText(order: number): string {
  return u32Text(~Math.floor(order / 0x1_0000_0000) >>> 0) + u32Text(~(order % 0x1_0000_0000) >>> 0)
}

/** Buffer in which usual keys are composed as bytes: concatenating strings costs ten times as much. */
const scratch = Buffer.alloc(2048)
const bytesFor = (lengthBytes: number): Buffer => (lengthBytes <= scratch.length ? scratch : Buffer.alloc(lengthBytes))

/** Each byte plus one. A prefix or marker may contain bytes that no key has: above 0xF4 their order does not matter. */
export function shiftKey(key: string): string {
  const bytes = bytesFor(key.length)
  const end = bytes.write(key, "latin1")
  for (let i = 0; i < end; i += 1) bytes[i] = Math.min((bytes[i] ?? 0) + 1, 0xff)
  return bytes.toString("latin1", 0, end)
}

/** The row itself: families `current` and `heads`, and the stem of all others; also of a partition of K2V. */
export function objectRowKey(bucketId: BucketId, key: ObjectKey | ItemKey): RowKey {
  const bytes = bytesFor(8 + key.length + 1)
  bytes.writeUInt32BE(Math.floor(bucketId / 0x1_0000_0000), 0)
  bytes.writeUInt32BE(bucketId % 0x1_0000_0000, 4)
  const end = 8 + bytes.write(key, 8, "latin1")
  for (let i = 8; i < end; i += 1) bytes[i] = Math.min((bytes[i] ?? 0) + 1, 0xff)
  bytes[end] = 0
  return rowKeyOf(bytes.toString("latin1", 0, end + 1))
}

/** The object's row key, which the keys of its versions, uploads and parts begin with. Throws if there is none. */
export function objectRowKeyOf(row: RowKey): RowKey {
  const end = row.indexOf(TERMINATOR, KEY_IN_ROW_AT)
  assert(end >= KEY_IN_ROW_AT, "the row key of an object has a terminator")
  return rowKeyOf(row.slice(0, end + 1))
}

/** The key of the upload's row, from the key of one of its parts or segments, or of the upload itself. */
export function uploadOfPartRowKey(row: RowKey): RowKey {
  return rowKeyOf(row.slice(0, objectRowKeyOf(row).length + MULTIPART_ID_BYTES))
}

export const versionRowKey = (row: RowKey, order: number): RowKey => rowKeyOf(row + complementText(order))
/** Returns the key of a record with a time: later times sort first. */
export const latestFirstRowKey = (atMs: number, random: string): RowKey => rowKeyOf(complementText(atMs) + random)
export const multipartRowKey = (row: RowKey, id: MultipartId): RowKey => rowKeyOf(row + multipartBytes(id))
export const partRowKey = (row: RowKey, id: MultipartId, part: number): RowKey =>
  rowKeyOf(row + multipartBytes(id) + u16Text(part))
export const segmentRowKey = partRowKey
/**
 * Returns the key of a segment by its offset: the first row from the key of an offset on is the segment that has it.
 */
export const offsetRowKey = (row: RowKey, id: MultipartId, offsetBytes: number): RowKey =>
  rowKeyOf(row + multipartBytes(id) + complementText(offsetBytes))
/** Returns the key of an append by the hash of the client's id for it: 16 bytes. */
export const appendRowKey = (row: RowKey, id: MultipartId, idHash: Uint8Array): RowKey =>
  rowKeyOf(row + multipartBytes(id) + byteText(idHash))

export function uploadRowKey(row: RowKey, uploadId: UploadId): RowKey {
  return rowKeyOf(row + byteText(must(bytesOfHex(uploadId), "upload ids are hex")))
}

/** The upload id in an upload's row key. */
export const uploadOfRowKey = (row: RowKey): UploadId =>
  parseUploadId(hexOf(bytesOfByteString(parseObjectRowKey(row).suffix)))

const byteText = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
const multipartBytes = (id: MultipartId): string => byteText(bytesOfVersionId(id))

/** Splits a row key of an object family; the suffix is what follows the terminator. */
export function parseObjectRowKey(row: RowKey): { bucketId: number; key: ObjectKey; suffix: string } {
  const end = objectRowKeyOf(row).length - 1
  const bytes = bytesFor(row.length)
  bytes.write(row, "latin1")
  for (let i = 8; i < end; i += 1) bytes[i] = (bytes[i] ?? 0) - 1
  return {
    bucketId: readU64Text(row),
    key: parseKeyText(bytes.toString("latin1", 8, end)),
    suffix: row.slice(end + 1),
  }
}

/** Extracts the object key from a row key in `bytes[from…to)`. */
export function objectKeyAt(bytes: Buffer, from: number, to: number): ObjectKey {
  const key = bytesFor(to - from)
  let length = 0
  let at = from + KEY_IN_ROW_AT
  for (let byte = bytes[at] ?? 0; byte !== 0; byte = bytes[at] ?? 0) {
    key[length] = byte - 1
    length += 1
    at += 1
  }
  assert(at < to, "an object row key has a terminator")
  return parseKeyText(key.toString("latin1", 0, length))
}

/** Rows contain only checked object keys, so the text is one. */
const parseKeyText = (key: string): ObjectKey => key as ObjectKey

const rangeOf = (stem: string): KeyRange => ({
  start: rowKeyOf(stem),
  end: rowKeyOf(must(afterPrefix(stem), "stems are never 0xFF only")),
})

/** All rows of a bucket whose object keys begin with the prefix. */
export const prefixRange = (bucketId: BucketId, prefix: string): KeyRange =>
  rangeOf(u64Text(bucketId) + shiftKey(prefix))

/** Common prefixes of object keys that begin with the prefix, for a range of their rows; none without a delimiter. */
export const foldingOf = (prefix: string, delimiter: string): Pick<KeyRange, "folding"> =>
  delimiter === "" ? {} : { folding: { from: KEY_IN_ROW_AT + prefix.length, delimiter: shiftKey(delimiter) } }

/** The first row key above every row of this object key. */
export const afterObjectKey = (bucketId: BucketId, key: string): RowKey =>
  rowKeyOf(u64Text(bucketId) + shiftKey(key) + "\x01")

/** The first row key above every row whose object key begins with the prefix. */
export const afterKeyPrefix = (bucketId: BucketId, prefix: string): RowKey => prefixRange(bucketId, prefix).end

/** All suffixes below a stem (versions of a row, parts of an upload). */
export const suffixRange = (stem: RowKey): KeyRange => rangeOf(stem)

// Rows that belong to no bucket: names, accounts, keys, pending deletions.
export const bucketRowKey = (bucketId: BucketId): RowKey => rowKeyOf(u64Text(bucketId))
export const settingRowKey = (bucketId: BucketId, setting: string): RowKey => rowKeyOf(u64Text(bucketId) + setting)
export const nameRowKey = (name: BucketName): RowKey => rowKeyOf(name)
export const textRowKey = (text: string): RowKey => rowKeyOf(text)
export const accountBucketRowKey = (owner: AccountId, name: string): RowKey => rowKeyOf(`${owner}\x00${name}`)
/** The row key of an account's item: text parts without a zero byte; the last one determines the order. */
export const accountRowKey = (account: AccountId, ...parts: readonly string[]): RowKey =>
  rowKeyOf([account, ...parts].join("\x00"))
/** Splits a row key that begins with an account; the rest is the name or id that follows. */
export function parseAccountRowKey(row: RowKey): { readonly account: AccountId; readonly rest: string } {
  const at = row.indexOf("\x00")
  assert(at > 0, "the row key begins with an account")
  return { account: parseAccountId(row.slice(0, at)), rest: row.slice(at + 1) }
}
/** All rows under the parts. */
export const accountRange = (account: AccountId, ...parts: readonly string[]): KeyRange =>
  rangeOf(`${[account, ...parts].join("\x00")}\x00`)
/** The decision's id begins with its position, by which pending deletions are ordered. */
export const pendingDeletionRowKey = (decisionId: string, index: number): RowKey =>
  rowKeyOf(decisionId + u16Text(index))
/** The bucket of a row key that begins with one. */
export const bucketIdOfRowKey = (row: RowKey): BucketId => parseBucketId(readU64Text(row))
/** A 64-bit number as 8 bytes, big-endian. */
export const u64TextOf = (value: bigint): string =>
  u32Text(Number(value >> 32n)) + u32Text(Number(value & 0xffff_ffffn))
/** The id of a decision in an engine whose positions are unique. */
export const decisionIdOf = (position: Position): string => u64Text(position)

/** Identifies a row among those of all families, in memory only. */
export const nameOfRow = (family: string, key: RowKey): string => `${family} ${key}`
