/**
 * Uses of named keys: how many versions and unfinished uploads of a bucket are sealed with which key. Pure.
 *
 * Limits  A page reads `ROWS_PER_PAGE` rows.
 */
import { rowKeyOf, type RowKey } from "../../base/ids.js"
import { decodeBucket, decodeUpload } from "../../format/records.js"
import { bucketIdOfRowKey, bucketRowKey } from "../../format/row-key.js"
import { decodeVersion, isSealedVersion } from "../../format/version-record.js"
import { query } from "../../metadata/index.js"
import { ALL_OBJECT_ROWS } from "./extent-rows.js"

const ROWS_PER_PAGE = 1_000

export const KEY_USE_FAMILIES = ["current", "versions", "uploads"] as const
type KeyUseFamily = (typeof KEY_USE_FAMILIES)[number]

interface KeyUseCount {
  readonly keyArn: string
  /** Its name; "" if the bucket is gone. */
  readonly bucket: string
  readonly count: number
}

interface KeyUsePage {
  readonly uses: readonly KeyUseCount[]
  /** Undefined on the last page. */
  readonly next: RowKey | undefined
}

/** From a row on; undefined: from the first. */
export const countKeyUses = query(
  "CountKeyUses",
  (view, family: KeyUseFamily, start: RowKey | undefined): KeyUsePage => {
    const counts = new Map<string, KeyUseCount>()
    let rows = 0
    let last: RowKey | undefined
    for (const [key, { value }] of view.range(family, { ...ALL_OBJECT_ROWS, ...(start && { start }) })) {
      if (rows === ROWS_PER_PAGE && last !== undefined) return { uses: [...counts.values()], next: behind(last) }
      rows += 1
      last = key
      const keyArn = keyOf(family, value)
      if (keyArn === undefined) continue
      const bucketRow = view.get("buckets", bucketRowKey(bucketIdOfRowKey(key)))
      const bucket = bucketRow === undefined ? "" : decodeBucket(bucketRow.value).name
      const name = `${bucket} ${keyArn}`
      counts.set(name, { keyArn, bucket, count: (counts.get(name)?.count ?? 0) + 1 })
    }
    return { uses: [...counts.values()], next: undefined }
  },
)

const behind = (key: RowKey): RowKey => rowKeyOf(`${key}\x00`)

/** The ARN of the named key that sealed it; undefined: none did. */
function keyOf(family: KeyUseFamily, value: Uint8Array): string | undefined {
  const sealing =
    family === "uploads"
      ? decodeUpload(value).sealing
      : isSealedVersion(value)
        ? decodeVersion(value).sealing
        : undefined
  return sealing?.key.mode === "kms" ? sealing.key.keyArn : undefined
}
