/**
 * Commands of undelete: a bucket without versioning keeps what is deleted or overwritten for some days. Pure.
 *
 * `RowEditor` moves a version to family `deleted` where it would otherwise release its bytes. What is kept is counted in a
 * row of family `usage` of its own, from the first time that undelete is on until the bucket is gone. See decision 59.
 */
import { fail } from "../../base/failures.js"
import type { BucketId } from "../../base/ids.js"
import { bucketRowKey } from "../../format/row-key.js"
import { deletedUsageRowKey, NO_USAGE } from "../../format/usage.js"
import { command } from "../../metadata/index.js"
import { bucketWrite } from "./bucket-commands-core.js"
import { requireBucket } from "./row-editor-core.js"

const UNDELETE_DAYS_MAX = 365

interface SetUndelete {
  readonly bucketId: BucketId
  /** Undefined: nothing more is kept; what is there stays until its time. */
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
