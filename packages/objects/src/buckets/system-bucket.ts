/**
 * The system bucket: objects that the store keeps for itself, such as the snapshots of the metadata.
 *
 * It has a row in `buckets`, so that its objects are written, resolved, repaired, re-encoded and deleted like all
 * others. It has no public name and no account owns it, and its id is never assigned to another bucket.
 */
import { parseAccountId, parseBucketId, parseBucketName, type BucketId } from "@hayloft/base/ids.js"
import { encodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command } from "@hayloft/engine/metadata/index.js"
import type { Bucket } from "../contract.js"

/** The highest possible id; assigned ids start at 1. Needles contain it: never change it. */
export const SYSTEM_BUCKET_ID: BucketId = parseBucketId(Number.MAX_SAFE_INTEGER)

export const SYSTEM_BUCKET = {
  id: SYSTEM_BUCKET_ID,
  name: parseBucketName("hayloft.system"),
  owner: parseAccountId("hayloft.system"),
  createdMs: 0,
  location: "",
  versioning: "never",
  settings: [],
  settingsVersion: 1,
} as const satisfies Bucket

/** Creates the row of the system bucket if it does not exist. */
export const ensureSystemBucket = command<[], void>({
  name: "EnsureSystemBucket",
  // One row, which objects that make space need as well.
  grows: false,
  touches: () => [["buckets", bucketRowKey(SYSTEM_BUCKET_ID)]],
  decide(view) {
    const rowKey = bucketRowKey(SYSTEM_BUCKET_ID)
    if (view.get("buckets", rowKey)) return { writes: [], result: undefined }
    const value = encodeBucket({ ...SYSTEM_BUCKET, state: "open" })
    return { writes: [{ family: "buckets", key: rowKey, value }], result: undefined }
  },
})
