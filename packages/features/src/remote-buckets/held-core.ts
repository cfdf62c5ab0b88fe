/**
 * Remote buckets whose pending writes are held: after a loss of rows they may be older than what the remote has, so nothing is
 * sent until an operator says so. A row of the bucket tells since when. Pure.
 */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { NUMBER, recordOf } from "@hayloft/engine/format/encoding/fields.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import { requireBucket } from "@hayloft/objects/door/rows.js"

const FAMILY = "featureRows"
const NAME = "remote"

const { encode: encodeHeld, decode: decodeHeld } = recordOf("held pending writes", NUMBER)

const heldRowKey = (bucketId: BucketId): RowKey => rowKeyOf(bucketRowKey(bucketId) + NAME)

/** The row goes with the bucket. */
export const heldRowOf = (bucketId: BucketId) => [FAMILY, heldRowKey(bucketId)] as const

/** Holds the pending writes of a remote bucket, or lets them go on. Throws `noSuchBucket`. */
export const holdPendingWrites = command<[bucketId: BucketId, isHeld: boolean], void>({
  name: "HoldPendingWrites",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)], heldRowOf(bucketId)],
  decide(view, { nowMs }, bucketId, isHeld) {
    const { settings } = requireBucket(view, bucketId)
    const [family, key] = heldRowOf(bucketId)
    const wasHeld = view.ifPresent(family, key) !== undefined
    if (wasHeld === isHeld || (isHeld && !settings.includes("remote"))) return { writes: [], result: undefined }
    return { writes: [{ family, key, value: isHeld ? encodeHeld(nowMs) : undefined }], result: undefined }
  },
})

/** Since when the pending writes of a bucket are held; undefined: they are not. */
export const pendingHeldSince = query("PendingHeldSince", (view, bucketId: BucketId): number | undefined => {
  const row = view.get(...heldRowOf(bucketId))
  return row && decodeHeld(row.value)
})
