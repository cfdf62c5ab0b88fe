/**
 * Since when the history of a bucket is complete (family `history`): a row for each shard of its keys, so that removals of
 * versions rarely change the same one.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { rowKeyOf, type BucketId, type RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, RecordReader } from "./pack.js"
import { bucketRowKey, suffixRange } from "./row-key.js"

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

/** `sinceUs`: a commit timestamp. */
export const encodeHistory = (sinceUs: number): Uint8Array => packRecord(1, [sinceUs])

/** Throws `corruptRecord`. */
export function decodeHistory(bytes: Uint8Array): number {
  const sinceUs = RecordReader.open("history", bytes, 1).number()
  if (!Number.isSafeInteger(sinceUs) || sinceUs < 0) throw fail("corruptRecord", { what: "history" })
  return sinceUs
}
