/**
 * Changes of objects in buckets that are copied elsewhere: which row says so, and which of two writes is newer. Pure.
 *
 * Promises  Of the writes and removals of an object that several stores make, the one with the latest timestamp wins, in whatever
 *           order they arrive: each follows what it replaces by at least a millisecond, and what is older is refused, also after
 *           a removal, for as long as its row stays.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { parseTimestamp, msOfTimestamp, timestampOfMs, type Timestamp } from "@hayloft/base/text/timestamp.js"
import { decodeChange, encodeChange, type ObjectChange } from "@hayloft/engine/format/objects/change.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  decodeVersionHead,
  type VersionDetails,
  type VersionHead,
} from "@hayloft/engine/format/objects/version-record.js"
import { command, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import { requireBucket } from "./bucket-rows-core.js"
import { findLatest, readDetails } from "./found-versions-core.js"

/** Returns true if changes of the bucket's objects are noted. */
export const notesChanges = ({ settings }: Pick<BucketRecord, "settings">): boolean => settings.includes("sync")

const changeIn = (view: Pick<RowView, "get">, row: RowKey): ObjectChange | undefined => {
  const found = view.get("changes", row)
  return found && decodeChange(found.value)
}

const noted = ({ id, nowMs }: Pick<DecisionTime, "id" | "nowMs">) => ({ id, notedMs: nowMs, isCopied: false })

const written = (key: RowKey, change: ObjectChange): EntryWrite => ({
  family: "changes",
  key,
  value: encodeChange(change),
})

/** The time of an object, to the digit that another store has stated. Attributes that changed here have their own time. */
export function exactTimestamp({ modifiedMs }: Pick<VersionHead, "modifiedMs">, stated: string | undefined): Timestamp {
  const timestamp = stated === undefined ? undefined : parseTimestamp(stated)
  const isOfIt = timestamp !== undefined && msOfTimestamp(timestamp) === modifiedMs
  return isOfIt ? timestamp : timestampOfMs(modifiedMs)
}

const statedIn = ({ headers }: VersionDetails): string | undefined =>
  headers.find(([name]) => name === "timestamp")?.[1]

/** A write or a removal that another store has made. */
export interface Repeated {
  readonly timestamp: Timestamp
  /** The MD5 of the object; undefined if it was removed. */
  readonly md5: Uint8Array | undefined
}

/**
 * Throws `preconditionFailed` if the object was changed or removed later. Of changes at the same time, which several stores may
 * make, each store keeps the same one: an object rather than its removal, and that with the larger MD5.
 */
export function requireNewer(view: CommandView, row: RowKey, { timestamp, md5 }: Repeated): void {
  const latest = findLatest(view, row)
  const removed = view.ifPresent("changes", row)
  const removedAt = (removed && decodeChange(removed.value).removedAt) ?? 0
  const changedAt = latest
    ? exactTimestamp(latest.head, statedIn(readDetails(view, row, decodeVersion(latest.row.value))))
    : 0
  const isAfterChange =
    timestamp > changedAt ||
    (timestamp === changedAt && md5 !== undefined && latest !== undefined && hexOf(md5) > hexOf(latest.head.md5))
  const isAfterRemoval = md5 === undefined ? timestamp > removedAt : timestamp >= removedAt
  if (!isAfterChange || !isAfterRemoval) throw fail("preconditionFailed", { condition: "X-Timestamp" })
}

/** A time after the last change, by a millisecond at least. */
export function nextChangeMs(
  view: CommandView,
  row: RowKey,
  { nowMs, lastMs }: { readonly nowMs: number; readonly lastMs: number },
): number {
  const found = view.ifPresent("changes", row)
  const removedAt = found && decodeChange(found.value).removedAt
  return Math.max(nowMs, lastMs + 1, removedAt === undefined ? 0 : msOfTimestamp(removedAt) + 1)
}

interface ChangeOfRow {
  readonly time: Pick<DecisionTime, "id" | "nowMs">
  readonly row: RowKey
  /** The record of the object, as the decision leaves it. */
  readonly after: Uint8Array | undefined
  readonly removedAt: () => Timestamp
}

/** The row that says that an object is another one than before, or removed; undefined: it is the same. */
export function changeWrite(view: RowView, { time, row, after, removedAt }: ChangeOfRow): EntryWrite | undefined {
  const before = view.get("current", row)
  if (before === undefined && after === undefined) return undefined
  if (before !== undefined && after !== undefined && isSame(decodeVersionHead(before.value), decodeVersionHead(after)))
    return undefined
  // It is read, as every row that is written: two decisions on an object never pass each other.
  changeIn(view, row)
  return written(row, { ...noted(time), removedAt: after === undefined ? removedAt() : undefined })
}

const isSame = (a: VersionHead, b: VersionHead): boolean => a.order === b.order && a.modifiedMs === b.modifiedMs

/**
 * Returns what a removal of an object that is not there writes: anything that was written before it, and arrives later,
 * is refused. Throws `preconditionFailed` if a later removal is known.
 */
export function removalOfAbsent(
  view: CommandView,
  bucket: BucketRecord,
  key: ObjectKey,
  at: Timestamp,
  time: ChangeOfRow["time"],
): readonly EntryWrite[] {
  if (!notesChanges(bucket)) return []
  const row = objectRowKey(bucket.id, key)
  if ((changeIn(view, row)?.removedAt ?? 0) >= at) throw fail("preconditionFailed", { condition: "X-Timestamp" })
  return [written(row, { ...noted(time), removedAt: at })]
}

interface EndedChange extends Pick<ObjectChange, "id"> {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

/** A change was copied: `keeps` its time. Nothing happens if the object has changed again. */
export const endObjectChange = command<[change: EndedChange, keeps: boolean], void>({
  name: "EndObjectChange",
  grows: false,
  touches: ({ bucketId, key }) => [["changes", objectRowKey(bucketId, key)]],
  decide(view, _time, { bucketId, key, id }, keeps) {
    const row = objectRowKey(bucketId, key)
    const found = changeIn(view, row)
    if (found?.id !== id) return { writes: [], result: undefined }
    const write: EntryWrite = keeps
      ? written(row, { ...found, isCopied: true })
      : { family: "changes", key: row, value: undefined }
    return { writes: [write], result: undefined }
  },
})

/** Notes objects that are there as changed. */
export const noteObjectChanges = command<[bucketId: BucketId, keys: readonly ObjectKey[]], void>({
  name: "NoteObjectChanges",
  touches: (bucketId, keys) => keys.map(key => ["changes", objectRowKey(bucketId, key)]),
  decide(view, time, bucketId, keys) {
    if (!notesChanges(requireBucket(view, bucketId))) return { writes: [], result: undefined }
    const rows = keys.map(key => objectRowKey(bucketId, key)).filter(row => view.get("changes", row) === undefined)
    return { writes: rows.map(row => written(row, { ...noted(time), removedAt: undefined })), result: undefined }
  },
})
