/**
 * Quotas, and what they count: limits are members of the records of buckets and accounts, what is used is a row of family
 * `usage` for each of them. See decision 58. What undelete keeps of a bucket is counted in such a row, too.
 */
import type { AccountId, BucketId, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { absent, FLAG, group, NUMBER, optional, row, type ValueOf } from "../encoding/fields.js"
import { HEX } from "../encoding/id-fields.js"
import { packRecord, RecordReader } from "../encoding/pack.js"
import { bucketRowKey } from "../row-key.js"

/** Bytes: of all versions, and of parts of uploads in progress. Objects: all versions and delete markers. */
const LIMITS = group({
  /** Nothing grows beyond it. */
  hardBytes: absent(optional(NUMBER)),
  /** Above it, operators are warned. */
  warnBytes: absent(optional(NUMBER)),
  hardObjects: absent(optional(NUMBER)),
  warnObjects: absent(optional(NUMBER)),
})
export type QuotaLimits = ValueOf<typeof LIMITS>

/** The quota of a bucket or an account, in its record. */
export const QUOTA = row({
  /** Names the count, as hex: one that begins again has another row, and another name. */
  run: HEX,
  /** The count includes what was there before it began; from then on the limits hold. */
  isExact: FLAG,
  limits: LIMITS,
})
export type Quota = ValueOf<typeof QUOTA>

/** The result of a count (family `usage`). */
export interface Usage {
  /** The bytes of versions, as in the bucket's counters. */
  readonly bytes: number
  /** Versions and delete markers. */
  readonly objects: number
  /** The bytes of parts of uploads that began under this count. */
  readonly partBytes: number
}

// By hand: each write to a bucket with a quota has one.
export const encodeUsage = ({ bytes, objects, partBytes }: Usage): Uint8Array =>
  packRecord(1, [bytes, objects, partBytes])

export function decodeUsage(value: Uint8Array): Usage {
  const row = RecordReader.open("usage", value, 1)
  return { bytes: row.number(), objects: row.number(), partBytes: row.number() }
}

export const NO_USAGE: Usage = { bytes: 0, objects: 0, partBytes: 0 }

export const addUsage = (a: Usage, b: Usage): Usage => ({
  bytes: a.bytes + b.bytes,
  objects: a.objects + b.objects,
  partBytes: a.partBytes + b.partBytes,
})

export type UsageOwner =
  | { readonly kind: "bucket"; readonly bucketId: BucketId }
  | { readonly kind: "account"; readonly accountId: AccountId }

/**
 * Returns the row key of what undelete keeps of a bucket: `d` and the bucket's id (8). There is no run: it is counted
 * from its first row on.
 */
export const deletedUsageRowKey = (bucketId: BucketId): RowKey => rowKeyOf(`d${bucketRowKey(bucketId)}`)

const END_OF_ACCOUNT = "\x00"

/** `b` and the bucket's id (8), or `a` and the account's id and 0x00; then the run. */
export function usageRowKey(owner: UsageOwner, run: string): RowKey {
  const stem = owner.kind === "bucket" ? `b${bucketRowKey(owner.bucketId)}` : `a${owner.accountId}${END_OF_ACCOUNT}`
  return rowKeyOf(stem + String.fromCharCode(...must(bytesOfHex(run), "runs are hex")))
}
