/**
 * How much a bucket has held (family `usageHistory`), by the bucket's id: one row for each bucket.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { NUMBER, recordOf, rowsOf, type ValueOf } from "../encoding/fields.js"
import { bucketRowKey } from "../row-key.js"

const SAMPLES = rowsOf({
  /** From then on, until the next sample. */
  atMs: NUMBER,
  /** Current ones, as a listing shows them. */
  objects: NUMBER,
  /** The bytes of all versions. */
  bytes: NUMBER,
})
export type UsageSample = ValueOf<typeof SAMPLES>[number]

export const usageHistoryRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

/** The oldest first. */
export const { encode: encodeUsageHistory, decode: decodeUsageHistory } = recordOf("usage history", SAMPLES)
