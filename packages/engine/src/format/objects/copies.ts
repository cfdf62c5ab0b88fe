/**
 * Copies of a bucket in another store: the log of its changes (family `copyLog`), and how far each target is (`copyState`).
 *
 * The key of a row of the log is `bucket id (8) + commit timestamp (8, big-endian) + object key`, so a range is the changes in the order
 * of their commits. The state of a target has the key `bucket id (8) + target (1)`; an object that is parked `bucket id (8) + target (1) +
 * object key`.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId, rowKeyOf, type BucketId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { absent, FLAG, group, NUMBER, oneOf, optional, parsed, record, TEXT, type ValueOf } from "../encoding/fields.js"
import { BYTE_STRING, VERSION_ID } from "../encoding/id-fields.js"
import { bucketRowKey, suffixRange, u32Text } from "../row-key.js"

/** A place in the log: everything up to it, and it, is before. */
const POSITION = group({
  /** A commit timestamp. */
  us: NUMBER,
  key: BYTE_STRING,
})
export type CopyPosition = ValueOf<typeof POSITION>

/** Before everything. */
export const COPY_START: CopyPosition = { us: 0, key: "" }

/** A change of the object that readers of the bucket see under a key. */
const COPY_CHANGE = record("copy change", {
  kind: oneOf(["put", "removed"]),
  /** The version that became the latest; "null" in buckets without versions. Absent where no object is left. */
  versionId: absent(optional(VERSION_ID)),
  sizeBytes: NUMBER,
})
export type CopyChange = ValueOf<typeof COPY_CHANGE>
export const { encode: encodeCopyChange, decode: decodeCopyChange } = COPY_CHANGE

const KEY_AT = 16
/** The bytes of the row key of a target: a parked object's key follows them. */
const STATE_KEY_BYTES = 9

/** Rows have only keys of objects. */
const parseKey = (text: string): ObjectKey => text as ObjectKey
const parsePlace = (text: string): ObjectKey | "" => (text === "" ? "" : parseKey(text))

const u64Text = (value: number): string => u32Text(Math.floor(value / 0x1_0000_0000)) + u32Text(value % 0x1_0000_0000)

const readU32 = (text: string, at: number): number =>
  ((text.charCodeAt(at) << 24) |
    (text.charCodeAt(at + 1) << 16) |
    (text.charCodeAt(at + 2) << 8) |
    text.charCodeAt(at + 3)) >>>
  0

const readU64 = (text: string, at: number): number => readU32(text, at) * 0x1_0000_0000 + readU32(text, at + 4)

export const copyLogRowKey = (bucketId: BucketId, { us, key }: CopyPosition): RowKey =>
  rowKeyOf(bucketRowKey(bucketId) + u64Text(us) + key)

export function parseCopyLogRowKey(
  row: RowKey,
): CopyPosition & { readonly bucketId: BucketId; readonly key: ObjectKey } {
  if (row.length <= KEY_AT) throw fail("corruptRecord", { what: "copy log", field: "key" })
  return { bucketId: parseBucketId(readU64(row, 0)), us: readU64(row, 8), key: parseKey(row.slice(KEY_AT)) }
}

/** The bucket that a row of the log, or of a target, belongs to. */
export const bucketOfCopyRow = (row: RowKey): BucketId => parseBucketId(readU64(row, 0))

/** The rows of a bucket's log behind `after`, up to the moment `toUs` and with it. */
export const copyLogRange = (bucketId: BucketId, after: CopyPosition, toUs: number): KeyRange => ({
  start: rowKeyOf(copyLogRowKey(bucketId, after) + "\x00"),
  end: copyLogRowKey(bucketId, { us: toUs + 1, key: "" }),
})

/** The rows of a bucket's log up to `upTo`, and with it. */
export const copyLogUpTo = (bucketId: BucketId, upTo: CopyPosition): KeyRange => ({
  start: bucketRowKey(bucketId),
  end: rowKeyOf(copyLogRowKey(bucketId, upTo) + "\x00"),
})

/** How far the copies in a target are. */
const COPY_STATE = record("copy state", {
  /** Grows with each change of this row, or of a parked one. */
  revision: NUMBER,
  /** Which target: the id in the setting of the bucket. */
  target: TEXT,
  /** `filling`: the objects that are there are copied, in the order of their keys, up to and with `place`. */
  phase: oneOf(["filling", "following"]),
  place: parsed(BYTE_STRING, parsePlace),
  /** How often it was filled, with this time. */
  fills: NUMBER,
  /** Everything in the log up to here is in the target, or parked. */
  token: POSITION,
  /** The last time the phase changed, by the clock of a node. */
  sinceMs: NUMBER,
  isPaused: FLAG,
  /** The reason why the target rejects copies now; empty if it accepts them. */
  error: TEXT,
  errorMs: NUMBER,
  /** This filling removes copies of objects that the bucket does not have: only if the operator asked for it. */
  removesOthers: FLAG,
})
export type CopyState = ValueOf<typeof COPY_STATE>
export const { encode: encodeCopyState, decode: decodeCopyState } = COPY_STATE

/** The one target that a bucket has. */
const TARGET = "\x01"

export const copyStateRowKey = (bucketId: BucketId): RowKey => rowKeyOf(bucketRowKey(bucketId) + TARGET)

/** An object that was not copied, and does not hold up the others. */
const PARKED_COPY = record("parked copy", {
  reason: TEXT,
  attempts: NUMBER,
  sinceMs: NUMBER,
  /** When it is tried again. */
  nextMs: NUMBER,
  sizeBytes: NUMBER,
  /** It cannot be copied as it is: only a change of the object helps. */
  isFinal: FLAG,
})
export type ParkedCopy = ValueOf<typeof PARKED_COPY>
export const { encode: encodeParkedCopy, decode: decodeParkedCopy } = PARKED_COPY

export const parkedCopyRowKey = (bucketId: BucketId, key: ObjectKey): RowKey =>
  rowKeyOf(copyStateRowKey(bucketId) + key)

export const keyOfParkedCopy = (row: RowKey): ObjectKey => parseKey(row.slice(STATE_KEY_BYTES))

/** The parked objects of a bucket, behind a key. */
export const parkedCopiesRange = (bucketId: BucketId, after = ""): KeyRange => ({
  start: rowKeyOf(copyStateRowKey(bucketId) + after + "\x00"),
  end: suffixRange(copyStateRowKey(bucketId)).end,
})
