/**
 * Undelete in decisions: a version that would release its bytes is kept in family `deleted` instead, for as long as its
 * bucket says, and is counted in a row of its own. Pure. See decision 59.
 */
import { deletedRowKey, encodeDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import { deletedUsageRowKey } from "@hayloft/engine/format/objects/usage.js"
import type {
  BucketFacts,
  BucketPart,
  ChangedObject,
  DecisionRows,
  ObjectChangePart,
  TakenVersion,
} from "@hayloft/objects/door/index.js"
import { readDetails } from "@hayloft/objects/door/rows.js"
import { keptIn } from "./kept-queries-core.js"

const DAY_MS = 86_400_000

export class UndeletePart implements ObjectChangePart {
  private objects = 0
  private bytes = 0
  /**
   * For how long what is undeleted was to be kept: what it replaces stays as long at least, so that two restores after a change
   * of the bucket's days shorten nothing.
   */
  private undeletedForMs: number | undefined

  constructor(private readonly change: ChangedObject) {}

  private get forMs(): number | undefined {
    const { bucket } = this.change
    const ofBucket = bucket && keepsForMs(bucket)
    if (ofBucket === undefined || this.undeletedForMs === undefined) return ofBucket ?? this.undeletedForMs
    return Math.max(ofBucket, this.undeletedForMs)
  }

  /** The details are in the record of what is kept: their row changes only with the object's. */
  keeps({ version, row, record, reason }: TakenVersion): boolean {
    const { forMs, change } = this
    if (forMs === undefined) return false
    const { view, time } = change
    // Both clocks may lag.
    const untilMs = Math.max(time.nowMs, change.clockMs) + forMs
    const details = readDetails(view, change.row, record)
    const kept = { ...record, details, head: { ...record.head, hasDetails: false, isShared: false } }
    const value = encodeDeletedVersion({ deletedMs: time.nowMs, untilMs, reason, record: kept })
    const payload = view.payload(version.family, version.rowKey, row)
    change.put("deleted", deletedRowKey(change.row, record.head.order, time.id), value, payload)
    this.objects += 1
    this.bytes += record.head.sizeBytes
    return true
  }

  /** A kept version of so many bytes is about to be the object again; it was to be kept for `forMs`. */
  undeletes(sizeBytes: number, forMs: number): void {
    this.undeletedForMs = forMs
    this.objects -= 1
    this.bytes -= sizeBytes
  }

  finish(rows: DecisionRows): void {
    const { objects, bytes } = this
    if (objects !== 0 || bytes !== 0)
      rows.count(deletedUsageRowKey(this.change.bucketId), { objects, bytes, partBytes: 0 })
  }
}

function keepsForMs({ state, undeleteDays: days }: BucketFacts): number | undefined {
  return state === "erasing" || days === undefined ? undefined : days * DAY_MS
}

export const UNDELETE_OF_BUCKETS: BucketPart = {
  keepsForMs,
  keptIn,
  remains(view, bucket) {
    // If the count is lost, the purge finds what is left of buckets that are gone.
    const { objects = 0 } = keptIn(view, bucket) ?? {}
    if (objects === 0) return undefined
    const message =
      `Undelete keeps ${objects} deleted objects of the bucket; ` +
      `"hayloft bucket undelete purge ${bucket.name}" removes them`
    return { message, objects }
  },
  /** From now on there are versions. What is kept stays until its time. */
  versioned: ({ undeleteDays: _days, ...others }) => others,
  dropped: ({ id, countsDeleted }) => (countsDeleted === true ? [{ key: deletedUsageRowKey(id), change: "drop" }] : []),
}
