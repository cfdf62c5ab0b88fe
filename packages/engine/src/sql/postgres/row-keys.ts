/** Keys of rows as columns of the tables: a bucket's number, which is 0 in families of no bucket, and the rest of the key. */
import { FAMILIES, ITEM_FAMILIES, OBJECT_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { StoredFamily, StoredKey } from "../database.js"
import { bigintArray, byteaArray, smallintArray } from "./binary.js"

const BUCKET_BYTES = 8
/** Families whose keys begin with a bucket id. */
const OF_BUCKETS: ReadonlySet<Family> = new Set<Family>([...OBJECT_FAMILIES, ...ITEM_FAMILIES, "buckets", "settings"])
const BUCKET_MAX = 2n ** 63n - 1n

const bytesOf = (key: string): Buffer => Buffer.from(key, "latin1")

/** Above all keys: those of objects, items and settings begin with text. */
export const KEYS_END: Buffer = Buffer.alloc(64, 0xff)

export interface KeyColumns {
  readonly bucket: bigint
  readonly key: Buffer
}

/** A key, or an end of a range: shorter than a bucket id, or above all of them. */
export function placeOf(family: StoredFamily, key: RowKey): KeyColumns {
  if (!OF_BUCKETS.has(family)) return { bucket: 0n, key: bytesOf(key) }
  const bucket = bytesOf(key.slice(0, BUCKET_BYTES).padEnd(BUCKET_BYTES, "\0")).readBigUInt64BE()
  return bucket > BUCKET_MAX
    ? { bucket: BUCKET_MAX, key: Buffer.alloc(0) }
    : { bucket, key: bytesOf(key.slice(BUCKET_BYTES)) }
}

/** How many of the first bytes of a row key are in the column `key`. */
export const lengthInKey = (family: StoredFamily, bytes: number): number =>
  OF_BUCKETS.has(family) ? Math.max(0, bytes - BUCKET_BYTES) : bytes

export const keyOf = (family: StoredFamily, bucket: Buffer, key: Buffer): RowKey =>
  rowKeyOf((OF_BUCKETS.has(family) ? bucket.toString("latin1") : "") + key.toString("latin1"))

/** Parallel arrays of families, buckets and keys, as `unnest` takes them. */
export function keyArrays(keys: readonly StoredKey[]): [families: Buffer, buckets: Buffer, keys: Buffer] {
  const places = keys.map(({ family, key }) => placeOf(family, key))
  return [
    smallintArray(keys.map(({ family }) => FAMILIES[family])),
    bigintArray(places.map(({ bucket }) => bucket)),
    byteaArray(places.map(({ key }) => key)),
  ]
}
