/**
 * Progress of lifecycle (family `lifecycle`): one row for each bucket with rules, one under bucket 0 for the multipart
 * uploads of all buckets, and for each process up to two notes for re-encoding.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { bytesOfByteString, parseBucketId, parseIncarnation, rowKeyOf } from "../base/ids.js"
import type { BucketId, Incarnation, RowKey } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"
import { bucketRowKey } from "./row-key.js"

/** The row for uploads. */
export const ALL_UPLOADS: BucketId = parseBucketId(0)

export const lifecycleRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

/** `moved`: versions to another storage class; `stored`: what was begun under a former policy. No bucket id is as high. */
export type NoteKind = "moved" | "stored"

const notesOf = (kind: NoteKind) => ({ start: rowKeyOf(`${kind} `), end: rowKeyOf(`${kind} \xff`) })

export const NOTES_OF_MOVES = notesOf("moved")
export const NOTES_OF_LATE_WRITES = notesOf("stored")

/** Returns the row key of the note of one process: so processes do not wait for each other's notes. */
export const noteRowKey = (kind: NoteKind, incarnation: Incarnation): RowKey => rowKeyOf(`${kind} ${incarnation}`)

/** Throws `corruptRecord`. */
export function incarnationOfNote(key: RowKey): Incarnation {
  const number = Number(key.slice(key.indexOf(" ") + 1))
  if (!Number.isInteger(number)) throw fail("corruptRecord", { what: "note for re-encoding" })
  return parseIncarnation(number)
}

/** `id`: of the decision that made the note. */
export const encodeNote = (id: string): Uint8Array => packRecord(1, [bytesOfByteString(id)])

/** Throws `corruptRecord`. */
export const decodeNote = (bytes: Uint8Array): string =>
  Buffer.from(RecordReader.open("note for re-encoding", bytes, 1).bytes()).toString("latin1")

/** Rows from `start` to before `end`; undefined: to the end. */
export interface LifecycleSlice {
  readonly start: RowKey
  readonly end: RowKey | undefined
}

/** A slice that a process works on. */
interface TakenSlice extends LifecycleSlice {
  readonly incarnation: Incarnation
}

/** The counts of what was removed, and of what was moved to another storage class. */
export interface LifecycleCounts {
  /** Objects and older versions that are gone. */
  readonly versions: number
  readonly bytes: number
  /** Objects over which a delete marker was put. */
  readonly hidden: number
  /** Delete markers that are gone. */
  readonly markers: number
  readonly uploads: number
  /** Versions that have another storage class. */
  readonly moved: number
  readonly movedBytes: number
}

export const NOTHING_REMOVED: LifecycleCounts = {
  ...{ versions: 0, bytes: 0, hidden: 0, markers: 0, uploads: 0, moved: 0, movedBytes: 0 },
}

export interface LifecyclePass {
  /** By the store's clock. */
  readonly startedMs: number
  /** The end is undefined while the pass is under way. */
  readonly endedMs: number | undefined
  /** The first row that no process has taken; undefined: all are taken. */
  readonly next: RowKey | undefined
  readonly taken: readonly TakenSlice[]
  readonly removed: LifecycleCounts
  /** Objects of the bucket may have an expiry of their own: passes go over it even without rules. */
  readonly expires?: true
}

/** The member `expires`; other passes do not have it. */
const EXPIRES = 1

const bytesOf = (key: RowKey | undefined): Uint8Array | null => (key === undefined ? null : bytesOfByteString(key))

export const encodeLifecyclePass = ({ startedMs, endedMs, next, taken, removed, expires }: LifecyclePass): Uint8Array =>
  packRecord(1, [
    startedMs,
    endedMs ?? null,
    bytesOf(next),
    taken.map(({ incarnation, start, end }) => [incarnation, bytesOf(start), bytesOf(end)]),
    packCounts(removed),
    ...(expires === undefined ? [] : [EXPIRES]),
  ])

/** Moves were added later. */
const packCounts = ({ versions, bytes, hidden, markers, uploads, moved, movedBytes }: LifecycleCounts) => [
  ...[versions, bytes, hidden, markers, uploads],
  ...(moved > 0 ? [moved, movedBytes] : []),
]

/** Throws `corruptRecord`. */
export function decodeLifecyclePass(bytes: Uint8Array): LifecyclePass {
  const row = RecordReader.open("lifecycle pass", bytes, 1)
  const pass: LifecyclePass = {
    startedMs: wholeNumber(row),
    endedMs: row.optional(() => wholeNumber(row)),
    next: row.optional(() => rowKeyOfBytes(row.bytes())),
    taken: row.rows(slice => ({
      incarnation: parseIncarnation(slice.number()),
      start: rowKeyOfBytes(slice.bytes()),
      end: slice.optional(() => rowKeyOfBytes(slice.bytes())),
    })),
    removed: countsOf(row.row()),
  }
  const expires = row.optional(() => row.number())
  if (expires !== undefined && expires !== EXPIRES) throw fail("corruptRecord", { what: "lifecycle pass" })
  return expires === undefined ? pass : { ...pass, expires: true }
}

function countsOf(row: RecordReader): LifecycleCounts {
  const [versions, bytes, hidden] = [wholeNumber(row), wholeNumber(row), wholeNumber(row)]
  const [markers, uploads] = [wholeNumber(row), wholeNumber(row)]
  const moved = row.optional(() => wholeNumber(row)) ?? 0
  const movedBytes = row.optional(() => wholeNumber(row)) ?? 0
  return { versions, bytes, hidden, markers, uploads, moved, movedBytes }
}

function wholeNumber(row: RecordReader): number {
  const value = row.number()
  if (!Number.isSafeInteger(value) || value < 0) throw fail("corruptRecord", { what: "lifecycle pass" })
  return value
}

const rowKeyOfBytes = (bytes: Uint8Array): RowKey => rowKeyOf(Buffer.from(bytes).toString("latin1"))
