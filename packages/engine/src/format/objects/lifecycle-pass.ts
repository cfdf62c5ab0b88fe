/**
 * Progress of lifecycle (family `lifecycle`): one row for each bucket with rules, and one under bucket 0 for the multipart
 * uploads of all buckets. Notes for re-encoding (`reencode-notes.ts`) are in the same family.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseBucketId, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { appended, flat, group, mapped, optional, record, row, rowsOf, tail, TRUE, whole } from "../encoding/fields.js"
import type { RowOf, ValueOf } from "../encoding/fields.js"
import { INCARNATION, ROW_KEY } from "../encoding/id-fields.js"
import { bucketRowKey } from "../row-key.js"

/** The row for uploads. */
export const ALL_UPLOADS: BucketId = parseBucketId(0)

export const lifecycleRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

/** Rows from `start` to before `end`; undefined: to the end. */
const SLICE = { start: ROW_KEY, end: optional(ROW_KEY) }
export type LifecycleSlice = RowOf<typeof SLICE>

/** They were added later, and are not written if there are none. */
const MOVES = mapped(
  tail(
    group({
      /** Versions that have another storage class. */
      moved: whole(),
      movedBytes: whole(),
    }),
  ),
  moves => moves ?? { moved: 0, movedBytes: 0 },
  moves => (moves.moved > 0 ? moves : undefined),
)

/** The counts of what was removed, and of what was moved to another storage class. */
const COUNTS = row({
  /** Objects and older versions that are gone. */
  versions: whole(),
  bytes: whole(),
  /** Objects over which a delete marker was put. */
  hidden: whole(),
  /** Delete markers that are gone. */
  markers: whole(),
  uploads: whole(),
  moves: flat(MOVES),
})
export type LifecycleCounts = ValueOf<typeof COUNTS>

export const NOTHING_REMOVED: LifecycleCounts = {
  versions: 0,
  bytes: 0,
  hidden: 0,
  markers: 0,
  uploads: 0,
  moved: 0,
  movedBytes: 0,
}

const PASS = record("lifecycle pass", {
  /** By the store's clock. */
  startedMs: whole(),
  /** The end is undefined while the pass is under way. */
  endedMs: optional(whole()),
  /** The first row that no process has taken; undefined: all are taken. */
  next: optional(ROW_KEY),
  /** Slices that processes work on. */
  taken: rowsOf({ incarnation: INCARNATION, ...SLICE }),
  removed: COUNTS,
  /** Objects of the bucket may have an expiry of their own: passes go over it even without rules. */
  expires: appended(TRUE),
})
export type LifecyclePass = ValueOf<typeof PASS>
export const { encode: encodeLifecyclePass, decode: decodeLifecyclePass } = PASS
