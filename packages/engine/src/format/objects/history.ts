/**
 * Since when the history of a bucket is complete (family `history`): a row for each shard of its keys, so that removals of
 * versions rarely change the same one.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { recordOf, whole } from "../encoding/fields.js"
import { bucketRowKey, suffixRange } from "../row-key.js"

/** On disk: it must not change. */
export const HISTORY_SHARDS = 16

const shardKey = (bucketId: BucketId, shard: number): RowKey =>
  rowKeyOf(bucketRowKey(bucketId) + String.fromCharCode(shard))

/** The row of the shard that a key of the bucket belongs to, by the row key of the object. */
export function historyRowKey(bucketId: BucketId, object: RowKey): RowKey {
  let hash = 0
  for (let i = 0; i < object.length; i += 1) hash = (Math.imul(hash, 31) + object.charCodeAt(i)) >>> 0
  return shardKey(bucketId, hash % HISTORY_SHARDS)
}

/** The rows of all shards of a bucket. */
export const historyRowKeys = (bucketId: BucketId): readonly RowKey[] =>
  Array.from({ length: HISTORY_SHARDS }, (_, shard) => shardKey(bucketId, shard))

export const historyRange = (bucketId: BucketId): KeyRange => suffixRange(bucketRowKey(bucketId))

/** A commit timestamp. */
export const { encode: encodeHistory, decode: decodeHistory } = recordOf("history", whole())
