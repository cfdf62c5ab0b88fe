/** Commands and queries on the keys of buckets. Pure decisions. */
import { fail } from "@hayloft/base/failures.js"
import type { BucketId } from "@hayloft/base/ids.js"
import {
  BUCKET_KEYS_MAX,
  BUCKET_SECRET,
  bucketKeyRowKey,
  bucketKeysOf,
  decodeBucketKey,
  encodeBucketKey,
  ERASED_EPOCHS_ROW,
  numberOfBucketKey,
  type BucketKey,
} from "@hayloft/engine/format/objects/bucket-key.js"
import { decodeBucket } from "@hayloft/engine/format/records.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import type { SealedSecret } from "./contract.js"
import { BUCKET_KEY_LIMITS } from "./limits.js"

/** Throws `noSuchBucket`, `bucketClosing`: a bucket that is being deleted gets no key, since nothing would remove it. */
function checkOpen(view: RowView, bucketId: BucketId): void {
  const row = view.get("buckets", bucketRowKey(bucketId))
  if (row === undefined) throw fail("noSuchBucket")
  const bucket = decodeBucket(row.value)
  if (bucket.state === "erasing") throw fail("noSuchBucket")
  if (bucket.state !== "open") throw fail("bucketClosing", { bucket: bucket.name })
}

function findKey(view: RowView, bucketId: BucketId, number: number): BucketKey | undefined {
  const row = view.get("bucketKeys", bucketKeyRowKey(bucketId, number))
  return row && decodeBucketKey(row.value)
}

const bucketRows = (bucketId: BucketId): Touches => [["buckets", bucketRowKey(bucketId)]]

export const readBucketKey = query("ReadBucketKey", findKey)

const ERASED = ["bucketKeys", ERASED_EPOCHS_ROW] as const

/** Throws `conflict` for a key that an erasure is about to remove from the control record. */
function checkEpoch(view: RowView, epoch: number): void {
  const row = view.get("bucketKeys", ERASED_EPOCHS_ROW)
  const erased = row && decodeBucketKey(row.value)
  if (erased?.kind === "erased" && epoch <= erased.epoch) throw fail("conflict", { epoch })
}

/**
 * Returns the secret of the bucket: another process may have added one first. Throws `noSuchBucket`, `bucketClosing`, and
 * `conflict` for an epoch key that an erasure removes.
 */
export const addBucketSecret = command<[bucketId: BucketId, secret: SealedSecret], BucketKey>({
  name: "AddBucketSecret",
  touches: bucketId => [...bucketRows(bucketId), ["bucketKeys", bucketKeyRowKey(bucketId, BUCKET_SECRET)], ERASED],
  decide(view, { nowMs }, bucketId, { epoch, sealed }) {
    checkOpen(view, bucketId)
    const known = findKey(view, bucketId, BUCKET_SECRET)
    if (known !== undefined) return { writes: [], result: known }
    checkEpoch(view, epoch)
    const secret: BucketKey = { kind: "secret", createdMs: nowMs, epoch, sealed }
    const key = bucketKeyRowKey(bucketId, BUCKET_SECRET)
    return { writes: [{ family: "bucketKeys", key, value: encodeBucketKey(secret) }], result: secret }
  },
})

/** For whom a bucket key is. */
export interface BucketKeyUse {
  readonly keyArn: string
  /** Canonical JSON. */
  readonly context: string
}

interface NumberedBucketKey {
  readonly number: number
  readonly key: Extract<BucketKey, { readonly kind: "dataKey" }>
}

/** The newest bucket key for this use that is not a day old. Later numbers are newer, so the search ends at an old one. */
function findFresh(
  view: RowView,
  bucketId: BucketId,
  use: BucketKeyUse,
  nowMs: number,
): { readonly last: number; readonly fresh: NumberedBucketKey | undefined } {
  let last: number | undefined
  for (const [row, { value }] of view.range("bucketKeys", { ...bucketKeysOf(bucketId), reverse: true })) {
    const number = numberOfBucketKey(row)
    last ??= number
    const key = decodeBucketKey(value)
    if (key.kind !== "dataKey" || nowMs - key.createdMs >= BUCKET_KEY_LIMITS.bucketKeyMs) break
    if (key.keyArn === use.keyArn && key.context === use.context) return { last, fresh: { number, key } }
  }
  return { last: last ?? BUCKET_SECRET, fresh: undefined }
}

/** Returns undefined if one must be made. */
export const freshBucketKey = query(
  "FreshBucketKey",
  (view, bucketId: BucketId, use: BucketKeyUse, nowMs: number) => findFresh(view, bucketId, use, nowMs).fresh,
)

/** Returns the bucket key to use: another process may have added one first. Throws `noSuchBucket`, `bucketClosing`. */
export const addBucketKey = command<[BucketId, BucketKeyUse, ciphertext: Uint8Array], NumberedBucketKey>({
  name: "AddBucketKey",
  touches: bucketRows,
  decide(view, { nowMs }, bucketId, use, ciphertext) {
    checkOpen(view, bucketId)
    const { last, fresh } = findFresh(view, bucketId, use, nowMs)
    if (fresh !== undefined) return { writes: [], result: fresh }
    if (last === BUCKET_KEYS_MAX) throw fail("limitExceeded", { message: "the bucket has too many keys" })
    const number = last + 1
    const key = { kind: "dataKey", createdMs: nowMs, keyArn: use.keyArn, context: use.context, ciphertext } as const
    const row = bucketKeyRowKey(bucketId, number)
    return { writes: [{ family: "bucketKeys", key: row, value: encodeBucketKey(key) }], result: { number, key } }
  },
})

/** Returns the key of this number; it is added if there is none. Throws `noSuchBucket`, `bucketClosing`. */
export const restoreBucketKey = command<[BucketId, number: number, key: BucketKey], BucketKey>({
  name: "RestoreBucketKey",
  touches: (bucketId, number) => [...bucketRows(bucketId), ["bucketKeys", bucketKeyRowKey(bucketId, number)]],
  decide(view, _time, bucketId, number, key) {
    checkOpen(view, bucketId)
    const known = findKey(view, bucketId, number)
    if (known !== undefined) return { writes: [], result: known }
    const row = bucketKeyRowKey(bucketId, number)
    return { writes: [{ family: "bucketKeys", key: row, value: encodeBucketKey(key) }], result: key }
  },
})
