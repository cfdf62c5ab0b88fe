/**
 * Commands of undelete: a bucket without versioning keeps what is deleted or overwritten for some days. Pure.
 *
 * `UndeletePart` moves a version to family `deleted` where its bytes would otherwise be released. What is kept is counted in a
 * row of family `usage` of its own, from the first time that undelete is on until the bucket is gone. See decision 59.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { decodeDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { NO_DETAILS, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { encodePendingDeletion } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey, parseObjectRowKey, pendingDeletionRowKey } from "@hayloft/engine/format/row-key.js"
import { deletedUsageRowKey, NO_USAGE } from "@hayloft/engine/format/objects/usage.js"
import { command, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  bucketOfRow,
  bucketWrite,
  clocksOf,
  expiryClock,
  isExpired,
  lockOfNew,
  type NewVersion,
  pendingDeletionOf,
  requireBucket,
  RowEditor,
} from "@hayloft/objects/door/rows.js"
import { UndeletePart } from "./part-core.js"

const UNDELETE_DAYS_MAX = 365

interface SetUndelete {
  readonly bucketId: BucketId
  /** It is undefined if nothing more is kept; what is there stays until its time. */
  readonly days: number | undefined
}

/** Throws `invalidArgument` for a number of days out of range, and for a bucket that has versions. */
export const setUndelete = command<[setting: SetUndelete], void>({
  name: "SetUndelete",
  // Nothing may be kept any more, so this must work on a full store.
  grows: ({ days }) => days !== undefined,
  touches: ({ bucketId }) => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, { bucketId, days }) {
    const { undeleteDays: before, ...bucket } = requireBucket(view, bucketId)
    if (before === days) return { writes: [], result: undefined }
    const changed = { ...bucket, settingsVersion: bucket.settingsVersion + 1 }
    if (days === undefined) return { writes: [bucketWrite(changed)], result: undefined }
    if (!Number.isInteger(days) || days < 1 || days > UNDELETE_DAYS_MAX) {
      throw fail("invalidArgument", { message: `days are a whole number from 1 to ${UNDELETE_DAYS_MAX}` })
    }
    if (bucket.versioning !== "never" || bucket.lock !== undefined) {
      throw fail("invalidArgument", { message: "the bucket has versioning, which keeps what is deleted as versions" })
    }
    const key = deletedUsageRowKey(bucketId)
    const usage = bucket.countsDeleted === true ? [] : [{ key, change: NO_USAGE, isNew: true as const }]
    const kept = { ...changed, undeleteDays: days, countsDeleted: true as const }
    return { writes: [bucketWrite(kept)], usage, result: undefined }
  },
})

export type UndeleteOutcome = "restored" | "nothingKept" | "exists"

interface UndeleteObject {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The row key of what is kept. */
  readonly rowKey: RowKey
  /** Also over an existing object, which is taken as by any other write. */
  readonly over: boolean
  /** The store's clock. */
  readonly clockMs?: number
}

/** Makes what is kept the latest version again, with the time of this decision. Throws `quotaExceeded`. */
export const undeleteObject = command<[request: UndeleteObject], UndeleteOutcome>({
  name: "UndeleteObject",
  touches: ({ bucketId, key, rowKey }) => [
    ["current", objectRowKey(bucketId, key)],
    ["deleted", rowKey],
  ],
  decide(view, time, { bucketId, key, rowKey, over, ...clock }) {
    const { versioning, lock: bucketLock } = requireBucket(view, bucketId)
    const row = view.ifPresent("deleted", rowKey)
    if (row === undefined) return { writes: [], result: "nothingKept" }
    const editor = new RowEditor(view, time, bucketId, key, clock.clockMs)
    const latest = over ? undefined : editor.latestObject()
    if (latest !== undefined && !isExpired(latest, expiryClock(time, clock.clockMs)))
      return { writes: [], result: "exists" }
    const { deletedMs, untilMs, record } = decodeDeletedVersion(row.value)
    editor.partOf(UndeletePart).undeletes(record.head.sizeBytes, untilMs - deletedMs)
    const lock = lockOfNew(bucketLock, undefined, clocksOf(clock, time))
    editor.insert(versionOf(record, view.payload("deleted", rowKey, row), lock), versioning)
    editor.put("deleted", rowKey, undefined)
    return { ...editor.finish(), result: "restored" }
  },
})

/** The version that a kept one becomes. It does not expire. */
function versionOf(
  { head, content, checksumValue: value, details = NO_DETAILS, sealing, largeObject }: VersionRecord,
  payload: Uint8Array | undefined,
  lock: VersionLock | undefined,
): NewVersion {
  const { checksumAlgorithm, checksumType, sizeBytes, md5, parts, storageClass, random } = head
  const described = { sizeBytes, md5, parts, storageClass, details, sealing, lock, isShared: false, largeObject }
  const checksum = { checksumAlgorithm, checksumType, value }
  // The data that the sealing is bound to is the same again: the random bytes are, and the order is no part of it.
  return { isMarker: false, content, payload, checksum, random, ...described }
}

/**
 * Rows that one command removes: each leaves a pending deletion, and a command may touch 1,024 rows. Pages of them end
 * earlier if they have many bytes.
 */
export const PURGED_PER_COMMAND = 256

interface PurgeDeleted {
  readonly bucketId: BucketId
  /** The rows of what is kept of the bucket. */
  readonly rows: readonly RowKey[]
  /** Only what is to be kept no longer than until then, by this clock and by the one of the decision. */
  readonly dueMs?: number
}

export interface Purged {
  readonly objects: number
  readonly bytes: number
}

/** Removes what is kept, in a bucket of any state, also one that is gone. */
export const purgeDeleted = command<[purge: PurgeDeleted], Purged>({
  name: "PurgeDeleted",
  grows: false,
  touches: ({ rows }) => rows.map(rowKey => ["deleted", rowKey]),
  decide(view, time, { bucketId, rows, dueMs }) {
    const nowMs = dueMs === undefined ? Infinity : Math.min(dueMs, time.nowMs)
    const writes: EntryWrite[] = []
    let [objects, bytes, pending] = [0, 0, 0]
    for (const rowKey of rows) {
      const row = view.ifPresent("deleted", rowKey)
      if (row === undefined) continue
      const { untilMs, record } = decodeDeletedVersion(row.value)
      if (untilMs > nowMs) continue
      writes.push({ family: "deleted", key: rowKey, value: undefined })
      objects += 1
      bytes += record.head.sizeBytes
      const deletion = pendingDeletionOf(bucketId, parseObjectRowKey(rowKey).key, record.content)
      if (deletion === undefined) continue
      writes.push({
        family: "pendingDeletions",
        key: pendingDeletionRowKey(time.id, pending),
        value: encodePendingDeletion(deletion),
      })
      pending += 1
    }
    const result = { objects, bytes }
    if (objects === 0) return { writes, result }
    const usage = isCounted(view, bucketId)
      ? [{ key: deletedUsageRowKey(bucketId), change: { objects: -objects, bytes: -bytes, partBytes: 0 } }]
      : []
    return { writes, usage, result }
  },
})

function isCounted(view: RowView, bucketId: BucketId): boolean {
  const row = view.get("buckets", bucketRowKey(bucketId))
  return row !== undefined && bucketOfRow(row).countsDeleted === true
}
