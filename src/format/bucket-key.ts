/**
 * Keys of a bucket (family `bucketKeys`), under its id and a number (4 bytes). Number 1 is the bucket's secret; the numbers
 * after it are bucket keys of SSE-KMS. See decision 56.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail, type Failure } from "../base/failures.js"
import { parseBucketId, rowKeyOf, type BucketId, type RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { bucketRowKey, KEY_IN_ROW_AT, suffixRange, u32Text } from "./row-key.js"

export type BucketKey =
  /** The secret that the keys of the bucket's objects derive from. */
  | {
      readonly kind: "secret"
      readonly createdMs: number
      readonly epoch: number
      /** Under the epoch's key, for the purpose "bucket secret ID NUMBER". */
      readonly sealed: Uint8Array
    }
  /** A data key of the KMS that objects of SSE-KMS share. */
  | {
      readonly kind: "dataKey"
      readonly createdMs: number
      readonly keyArn: string
      readonly ciphertext: Uint8Array
      /** Canonical JSON. */
      readonly context: string
    }
  /** A secret that was destroyed, and every object with it. It was sealed under keys of epochs up to this one. */
  | { readonly kind: "erased"; readonly createdMs: number; readonly epoch: number }

/** Numbers are on disk: append only. */
const KINDS: readonly BucketKey["kind"][] = ["secret", "dataKey", "erased"]
const SEALED_SECRET_BYTES = 12 + 32 + 16

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

export function encodeBucketKey(key: BucketKey): Uint8Array {
  const members = [KINDS.indexOf(key.kind), key.createdMs]
  if (key.kind === "secret") return packRecord(1, [...members, key.epoch, key.sealed])
  if (key.kind === "erased") return packRecord(1, [...members, key.epoch])
  return packRecord(1, [...members, null, key.ciphertext, key.keyArn, key.context])
}

/** The value must not change. */
export function decodeBucketKey(bytes: Uint8Array): BucketKey {
  const row = RecordReader.open("bucket key", bytes, 1)
  const kind = pick(KINDS, row.number(), "bucket key")
  const createdMs = whole(row, 0)
  if (kind === "erased") return { kind, createdMs, epoch: whole(row, 1) }
  const epoch = row.optional(() => whole(row, 1))
  const sealed = Uint8Array.from(row.bytes())
  if (kind === "secret") {
    if (epoch === undefined || sealed.length !== SEALED_SECRET_BYTES) throw corrupt("secret")
    return { kind, createdMs, epoch, sealed }
  }
  if (epoch !== undefined) throw corrupt("epoch")
  return { kind, createdMs, ciphertext: sealed, keyArn: row.text(), context: row.text() }
}

function whole(row: RecordReader, min: number): number {
  const value = row.number()
  if (!Number.isSafeInteger(value) || value < min) throw corrupt("number")
  return value
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "bucket key", field })
