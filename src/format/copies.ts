/**
 * Copies of a bucket in another store: the log of its changes (family `copyLog`), and how far each target is (`copyState`).
 *
 * The key of a row of the log is `bucket id (8) + commit timestamp (8, big-endian) + object key`, so a range is the changes in the order
 * of their commits. The state of a target has the key `bucket id (8) + target (1)`; an object that is parked `bucket id (8) + target (1) +
 * object key`.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import {
  parseBucketId,
  parseVersionId,
  rowKeyOf,
  type BucketId,
  type ObjectKey,
  type RowKey,
  type VersionId,
} from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { bucketRowKey, suffixRange, u32Text } from "./row-key.js"

/** A place in the log: everything up to it, and it, is before. */
export interface CopyPosition {
  /** A commit timestamp. */
  readonly us: number
  readonly key: string
}

/** Before everything. */
export const COPY_START: CopyPosition = { us: 0, key: "" }

/** A change of the object that readers of the bucket see under a key. */
export interface CopyChange {
  readonly kind: "put" | "removed"
  /** The version that became the latest; "null" in buckets without versions. Absent where no object is left. */
  readonly versionId?: VersionId | undefined
  readonly sizeBytes: number
}

const KINDS: readonly CopyChange["kind"][] = ["put", "removed"]
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

export const encodeCopyChange = ({ kind, versionId, sizeBytes }: CopyChange): Uint8Array =>
  packRecord(1, [KINDS.indexOf(kind), versionId ?? null, sizeBytes])

export function decodeCopyChange(bytes: Uint8Array): CopyChange {
  const row = RecordReader.open("copy change", bytes, 1)
  const kind = pick(KINDS, row.number(), "copy change")
  const versionId = row.optional(() => parseVersionId(row.text()))
  return { kind, versionId, sizeBytes: row.number() }
}

/** How far the copies in a target are. */
export interface CopyState {
  /** Grows with each change of this row, or of a parked one. */
  readonly revision: number
  /** Which target: the id in the setting of the bucket. */
  readonly target: string
  /** `filling`: the objects that are there are copied, in the order of their keys, up to and with `place`. */
  readonly phase: "filling" | "following"
  readonly place: ObjectKey | ""
  /** How often it was filled, with this time. */
  readonly fills: number
  /** This filling removes copies of objects that the bucket does not have: only if the operator asked for it. */
  readonly removesOthers: boolean
  /** Everything in the log up to here is in the target, or parked. */
  readonly token: CopyPosition
  /** The last time the phase changed, by the clock of a node. */
  readonly sinceMs: number
  readonly isPaused: boolean
  /** Why the target takes nothing at present; "": it does. */
  readonly error: string
  readonly errorMs: number
}

const PHASES: readonly CopyState["phase"][] = ["filling", "following"]
/** The one target that a bucket has. */
const TARGET = "\x01"

export const copyStateRowKey = (bucketId: BucketId): RowKey => rowKeyOf(bucketRowKey(bucketId) + TARGET)

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1")
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

export const encodeCopyState = (state: CopyState): Uint8Array =>
  packRecord(1, [
    ...[state.revision, state.target, PHASES.indexOf(state.phase), bytesOf(state.place), state.fills],
    ...[state.token.us, bytesOf(state.token.key), state.sinceMs, Number(state.isPaused), state.error, state.errorMs],
    Number(state.removesOthers),
  ])

export function decodeCopyState(bytes: Uint8Array): CopyState {
  const row = RecordReader.open("copy state", bytes, 1)
  return {
    revision: row.number(),
    target: row.text(),
    phase: pick(PHASES, row.number(), "copy phase"),
    place: parsePlace(textOf(row.bytes())),
    fills: row.number(),
    token: { us: row.number(), key: textOf(row.bytes()) },
    sinceMs: row.number(),
    isPaused: row.number() === 1,
    error: row.text(),
    errorMs: row.number(),
    removesOthers: row.number() === 1,
  }
}

/** An object that was not copied, and does not hold up the others. */
export interface ParkedCopy {
  readonly reason: string
  readonly attempts: number
  readonly sinceMs: number
  /** When it is tried again. */
  readonly nextMs: number
  readonly sizeBytes: number
  /** It cannot be copied as it is: only a change of the object helps. */
  readonly isFinal: boolean
}

export const parkedCopyRowKey = (bucketId: BucketId, key: ObjectKey): RowKey =>
  rowKeyOf(copyStateRowKey(bucketId) + key)

export const keyOfParkedCopy = (row: RowKey): ObjectKey => parseKey(row.slice(STATE_KEY_BYTES))

/** The parked objects of a bucket, behind a key. */
export const parkedCopiesRange = (bucketId: BucketId, after = ""): KeyRange => ({
  start: rowKeyOf(copyStateRowKey(bucketId) + after + "\x00"),
  end: suffixRange(copyStateRowKey(bucketId)).end,
})

export const encodeParkedCopy = (parked: ParkedCopy): Uint8Array =>
  packRecord(1, [
    ...[parked.reason, parked.attempts, parked.sinceMs, parked.nextMs, parked.sizeBytes, Number(parked.isFinal)],
  ])

export function decodeParkedCopy(bytes: Uint8Array): ParkedCopy {
  const row = RecordReader.open("parked copy", bytes, 1)
  return {
    reason: row.text(),
    attempts: row.number(),
    sinceMs: row.number(),
    nextMs: row.number(),
    sizeBytes: row.number(),
    isFinal: row.number() === 1,
  }
}
