/** The objects that undelete keeps, in slices: for people, for restores, and for its end. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { bytesOfByteString, parseBucketId, rowKeyOf } from "@hayloft/base/ids.js"
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { KIB } from "@hayloft/base/limits.js"
import { openDeletedVersion, type Deletion } from "@hayloft/engine/format/objects/deleted-version.js"
import { objectRowKey, parseObjectRowKey, prefixRange, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeListedVersion, decodeVersionHead, writtenMsOf } from "@hayloft/engine/format/objects/version-record.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/door/rows.js"

/** An object that was taken from a bucket and is kept. */
export interface DeletedObject extends Deletion {
  readonly key: ObjectKey
  /** Names it among those of its key. */
  readonly id: string
  readonly sizeBytes: number
  readonly etag: string
  readonly modifiedMs: number
}

export interface DeletedPage {
  readonly items: readonly DeletedObject[]
  /** It is absent at the end. A page with a `next` may have fewer items than were asked for. */
  readonly next?: string
}

export interface ListDeletedRequest {
  readonly prefix?: string
  /** Only what was taken at this time or later. */
  readonly sinceMs?: number
  /** `next` of the previous page. */
  readonly after?: string
  readonly limit: number
}

/** Rows that one query reads. */
const ROWS_PER_PAGE = 1_000

const bytesIn = (hex: string, what: string): string => {
  const bytes = bytesOfHex(hex)
  if (bytes === undefined) throw fail("invalidArgument", { message: `${what} is not valid` })
  return Buffer.from(bytes).toString("latin1")
}

const hexOfRow = (text: string): string => hexOf(bytesOfByteString(text))

/** The row that an id names. Throws `invalidArgument`. */
export const deletedRowOf = (bucketId: BucketId, key: ObjectKey, id: string): RowKey =>
  rowKeyOf(objectRowKey(bucketId, key) + bytesIn(id, "the id"))

const endsAbove = (range: KeyRange, after: string | undefined): KeyRange => {
  if (after === undefined) return range
  const start = rowKeyOf(bytesIn(after, "the place to go on from"))
  return start > range.start ? { ...range, start } : range
}

/** In the order of the keys; of one key the newest first. Throws `invalidArgument`. */
export const listDeleted = query(
  "ListDeleted",
  (view, bucketId: BucketId, request: ListDeletedRequest): DeletedPage => {
    const { prefix = "", sinceMs = -Infinity, after, limit } = request
    const items: DeletedObject[] = []
    let rows = 0
    const range = endsAbove(prefixRange(bucketId, prefix), after)
    if (range.start >= range.end) return { items }
    const expectedRows = Math.min(limit, ROWS_PER_PAGE) + 1
    for (const [rowKey, { value }] of view.range("deleted", { ...range, expectedRows })) {
      if (items.length === limit || rows === ROWS_PER_PAGE) return { items, next: hexOfRow(rowKey) }
      rows += 1
      const { record, ...deletion } = openDeletedVersion(value)
      if (deletion.deletedMs < sinceMs) continue
      const { key, suffix } = parseObjectRowKey(rowKey)
      const { sizeBytes, etag, modifiedMs } = decodeListedVersion(record)
      items.push({ key, id: hexOfRow(suffix), ...deletion, sizeBytes, etag, modifiedMs })
    }
    return { items }
  },
)

export interface FoundDeleted {
  readonly rowKey: RowKey | undefined
  /** The place to look further at. */
  readonly next: RowKey | undefined
}

/** The newest of a key, or that which was the object at a time; from a row on. */
export const findDeleted = query(
  "FindDeleted",
  (view, bucketId: BucketId, key: ObjectKey, atMs: number | undefined, start: RowKey | undefined): FoundDeleted => {
    const range = suffixRange(objectRowKey(bucketId, key))
    let rows = 0
    const expectedRows = atMs === undefined ? 1 : ROWS_PER_PAGE + 1
    for (const [rowKey, { value }] of view.range("deleted", { ...range, ...(start && { start }), expectedRows })) {
      if (rows === ROWS_PER_PAGE) return { rowKey: undefined, next: rowKey }
      rows += 1
      if (atMs === undefined) return { rowKey, next: undefined }
      const { record, deletedMs } = openDeletedVersion(value)
      if (writtenMsOf(decodeVersionHead(record)) <= atMs && atMs < deletedMs) return { rowKey, next: undefined }
    }
    return { rowKey: undefined, next: undefined }
  },
)

export interface DeletedRows {
  readonly rows: readonly RowKey[]
  /** It is undefined at the end. */
  readonly next: RowKey | undefined
}

/**
 * Rows end a page once they have so many bytes: a command that removes them repeats their keys and extents, and all that
 * it writes is one entry.
 */
const PURGED_BYTES_MAX = 512 * KIB
const purgedBytes = (rowKey: RowKey, value: Uint8Array): number => 2 * rowKey.length + value.length

/** Some rows of what is kept, which one command can remove. */
export const deletedRows = query("DeletedRows", (view, range: KeyRange, max: number): DeletedRows => {
  const rows: RowKey[] = []
  let lengthBytes = 0
  for (const [rowKey, { value }] of view.range("deleted", { ...range, expectedRows: max + 1 })) {
    if (rows.length === max || lengthBytes >= PURGED_BYTES_MAX) return { rows, next: rowKey }
    rows.push(rowKey)
    lengthBytes += purgedBytes(rowKey, value)
  }
  return { rows, next: undefined }
})

interface DueDeleted {
  readonly due: readonly { readonly bucketId: BucketId; readonly rows: readonly RowKey[] }[]
  /** The counts of those that are kept longer. */
  readonly kept: { readonly objects: number; readonly bytes: number }
  /** It is undefined at the end. */
  readonly next: RowKey | undefined
}

/** Returns the rows whose time has come, among some rows of all buckets; one command can remove those of a bucket. */
export const dueDeleted = query("DueDeleted", (view, start: RowKey, nowMs: number, max: number): DueDeleted => {
  const due = new Map<BucketId, RowKey[]>()
  let [rows, dueBytes, objects, bytes] = [0, 0, 0, 0]
  const done = (next: RowKey | undefined): DueDeleted => ({
    due: Array.from(due, ([bucketId, those]) => ({ bucketId, rows: those })),
    kept: { objects, bytes },
    next,
  })
  for (const [rowKey, { value }] of view.range("deleted", { ...ALL_OBJECT_ROWS, start, expectedRows: max + 1 })) {
    if (rows === max || dueBytes >= PURGED_BYTES_MAX) return done(rowKey)
    rows += 1
    const { untilMs, record } = openDeletedVersion(value)
    const bucketId = parseBucketId(parseObjectRowKey(rowKey).bucketId)
    if (untilMs <= nowMs) {
      due.set(bucketId, [...(due.get(bucketId) ?? []), rowKey])
      dueBytes += purgedBytes(rowKey, value)
    } else {
      objects += 1
      bytes += decodeVersionHead(record).sizeBytes
    }
  }
  return done(undefined)
})
