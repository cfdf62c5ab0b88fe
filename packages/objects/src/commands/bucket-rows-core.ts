/** The rows of a bucket as decisions and queries see them: its record and its counters. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId, rowKeyOf, type BucketId } from "@hayloft/base/ids.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import {
  decodeBucket,
  decodeCounters,
  NO_COUNTS,
  type BucketRecord,
  type Counters,
} from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import {
  RememberedByGeneration,
  type MayBeMarked,
  type MetadataRow,
  type RowView,
} from "@hayloft/engine/metadata/index.js"

const decodedBuckets = new RememberedByObject<Uint8Array, BucketRecord>(decodeBucket)

/** A bucket's record, decoded once per row value: every request reads it several times. */
export const bucketOfRow = ({ value }: MetadataRow): BucketRecord => decodedBuckets.of(value)

/** The range of the rows of all buckets, and of their counters. */
export const ALL_BUCKETS = { start: bucketRowKey(parseBucketId(1)), end: rowKeyOf("\xff") }

/** Longer lists are read each time. */
const KEPT_BUCKETS_MAX = 200_000

const listed = new RememberedByGeneration(
  (view): readonly BucketRecord[] => Array.from(view.range("buckets", ALL_BUCKETS), ([, row]) => bucketOfRow(row)),
  buckets => buckets.length <= KEPT_BUCKETS_MAX,
)

/** All buckets of any state, in the order of their ids. Background jobs ask for them every few seconds. */
export const allBuckets = (view: MayBeMarked): readonly BucketRecord[] => listed.of(view)

/** The bucket, open for changes. Throws `noSuchBucket`, `bucketClosing`. */
export function requireBucket(view: RowView, bucketId: BucketId): BucketRecord {
  const row = view.get("buckets", bucketRowKey(bucketId))
  if (!row) throw fail("noSuchBucket")
  const bucket = bucketOfRow(row)
  if (bucket.state === "erasing") throw fail("noSuchBucket")
  if (bucket.state === "closing") throw fail("bucketClosing")
  return bucket
}

export const countersIn = (row: MetadataRow | undefined): Counters => (row ? decodeCounters(row.value) : NO_COUNTS)

export const readCounters = (view: RowView, bucketId: BucketId): Counters =>
  countersIn(view.get("counters", bucketRowKey(bucketId)))
