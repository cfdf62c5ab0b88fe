/**
 * Keys of a bucket (family `bucketKeys`), under its id and a number (4 bytes). Number 1 is the bucket's secret; the numbers
 * after it are bucket keys of SSE-KMS. See decision 56.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseBucketId, rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  bytesOfLength,
  flat,
  NOTHING,
  OWN_BYTES,
  recordOf,
  TEXT,
  union,
  whole,
  type ValueOf,
} from "../encoding/fields.js"
import { bucketRowKey, KEY_IN_ROW_AT, suffixRange, u32Text } from "../row-key.js"

const SEALED_SECRET_BYTES = 12 + 32 + 16

const KEY = union({
  /** The secret that the keys of the bucket's objects derive from. */
  secret: {
    createdMs: whole(),
    epoch: whole(1),
    /** Under the epoch's key, for the purpose "bucket secret ID NUMBER". */
    sealed: bytesOfLength(SEALED_SECRET_BYTES),
  },
  /** A data key of the KMS that objects of SSE-KMS share. */
  dataKey: {
    createdMs: whole(),
    /** The place where other keys have their epoch. */
    noEpoch: flat(NOTHING),
    ciphertext: OWN_BYTES,
    keyArn: TEXT,
    /** Canonical JSON. */
    context: TEXT,
  },
  /** A secret that was destroyed, and every object with it. It was sealed under keys of epochs up to this one. */
  erased: { createdMs: whole(), epoch: whole(1) },
})
export type BucketKey = ValueOf<typeof KEY>
export const { encode: encodeBucketKey, decode: decodeBucketKey } = recordOf("bucket key", KEY)

export const BUCKET_SECRET = 1
/** Numbers have 4 bytes. */
export const BUCKET_KEYS_MAX = 0xffff_ffff

export const bucketKeyRowKey = (bucketId: BucketId, number: number): RowKey =>
  rowKeyOf(bucketRowKey(bucketId) + u32Text(number))

/** An erased one for all buckets: no secret may be sealed under keys of epochs up to this one any more. No bucket has the id 0. */
export const ERASED_EPOCHS_ROW = bucketKeyRowKey(parseBucketId(0), BUCKET_SECRET)

export const bucketKeysOf = (bucketId: BucketId): KeyRange => suffixRange(bucketRowKey(bucketId))

export const numberOfBucketKey = (row: RowKey): number => Buffer.from(row, "latin1").readUInt32BE(KEY_IN_ROW_AT)

/** Returns the purpose that a sealed secret is bound to. */
export const purposeOfSecret = (bucketId: BucketId, number: number): string => `bucket secret ${bucketId} ${number}`
