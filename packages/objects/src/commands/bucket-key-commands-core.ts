/**
 * Removal of a bucket's keys: a bucket can have more of them than one command may remove, one for each day and named key.
 * Pure.
 *
 * Promises  No key goes before its bucket: until then a removal can fail, and the bucket is opened again with every key that
 *           a request may still use. Ids of buckets are never used again, so what is left afterwards belongs to nobody.
 */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import {
  BUCKET_SECRET,
  bucketKeyRowKey,
  bucketKeysOf,
  decodeBucketKey,
} from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketIdOfRowKey, bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, deletionsOf, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"

/** Half of what a command may write. */
const BUCKET_KEYS_PER_COMMAND = 512
const ROWS_PER_PAGE = 1_000
const END = rowKeyOf("\xff".repeat(16))

/** Returns the keys that one command removes, the secret first; a secret that an erasure has destroyed stays. */
export function firstKeysOf(view: RowView, bucketId: BucketId): Touches {
  const keys: (readonly ["bucketKeys", RowKey])[] = []
  const range = { ...bucketKeysOf(bucketId), expectedRows: BUCKET_KEYS_PER_COMMAND }
  for (const [key, row] of view.range("bucketKeys", range)) {
    if (keys.length === BUCKET_KEYS_PER_COMMAND) break
    if (decodeBucketKey(row.value).kind !== "erased") keys.push(["bucketKeys", key])
  }
  return keys
}

/** Returns true if an erasure has destroyed the secret of the bucket. Its row stays once the bucket is gone. */
export function isErasedSecret(view: RowView, bucketId: BucketId): boolean {
  const secret = view.get("bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET))
  return secret !== undefined && decodeBucketKey(secret.value).kind === "erased"
}

/**
 * Removes keys of a bucket that is gone, and its secret with it: a bucket whose row was merely lost has its secret still,
 * and keeps its keys. Returns whether there may be more.
 */
export const dropBucketKeys = command<[bucketId: BucketId], boolean>({
  name: "DropBucketKeys",
  grows: false,
  touches: bucketId => [
    ["buckets", bucketRowKey(bucketId)],
    ["bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET)],
  ],
  decide(view, _time, bucketId) {
    const bucket = view.get("buckets", bucketRowKey(bucketId))
    const secret = view.get("bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET))
    const mayReturn = secret !== undefined && !isErasedSecret(view, bucketId)
    if (bucket !== undefined || mayReturn) return { writes: [], result: false }
    const writes = deletionsOf(view, firstKeysOf(view, bucketId))
    return { writes, result: writes.length === BUCKET_KEYS_PER_COMMAND }
  },
})

interface KeyedBuckets {
  readonly ids: readonly BucketId[]
  /** The place where the next page begins; undefined: this is the last one. */
  readonly next: RowKey | undefined
}

/** Buckets that some rows are keys of. */
export const keyedBuckets = query("KeyedBuckets", (view, start: RowKey): KeyedBuckets => {
  const ids = new Set<BucketId>()
  let rows = 0
  for (const [row] of view.range("bucketKeys", { start, end: END, expectedRows: ROWS_PER_PAGE })) {
    if (rows === ROWS_PER_PAGE) return { ids: [...ids], next: row }
    ids.add(bucketIdOfRowKey(row))
    rows += 1
  }
  return { ids: [...ids], next: undefined }
})
