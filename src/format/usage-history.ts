/**
 * How much a bucket has held (family `usageHistory`), by the bucket's id: one row for each bucket.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import type { BucketId, RowKey } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"
import { bucketRowKey } from "./row-key.js"

/** From then on, until the next sample. */
export interface UsageSample {
  readonly atMs: number
  /** Current ones, as a listing shows them. */
  readonly objects: number
  /** The bytes of all versions. */
  readonly bytes: number
}

export const usageHistoryRowKey = (bucketId: BucketId): RowKey => bucketRowKey(bucketId)

/** The oldest first. */
export const encodeUsageHistory = (samples: readonly UsageSample[]): Uint8Array =>
  packRecord(1, [samples.map(({ atMs, objects, bytes }) => [atMs, objects, bytes])])

export const decodeUsageHistory = (bytes: Uint8Array): readonly UsageSample[] =>
  RecordReader.open("usage history", bytes, 1).rows(row => ({
    atMs: row.number(),
    objects: row.number(),
    bytes: row.number(),
  }))
