/**
 * Uses of named keys: how many versions and unfinished uploads of a bucket are sealed with which key. Pure.
 *
 * Bucket keys count by the versions that are sealed with them, whose records name the key: a bucket key that no version
 * names opens nothing.
 *
 * Limits  A page reads `ROWS_PER_PAGE` rows.
 */
import { type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { openDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeBucket, decodeUpload } from "@hayloft/engine/format/records.js"
import { bucketIdOfRowKey, bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeVersion, isSealedVersion } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import { ALL_OBJECT_ROWS } from "./extent-rows.js"
import { mergedVersions } from "./merged-versions.js"

const ROWS_PER_PAGE = 1_000

/** In the order of a walk: uploads become versions, and versions stay versions, also deleted ones that are kept. */
export const KEY_USE_SOURCES = ["uploads", "versions"] as const
type KeyUseSource = (typeof KEY_USE_SOURCES)[number]

interface KeyUseCount {
  readonly keyArn: string
  /** Its name; "" if the bucket is gone. */
  readonly bucket: string
  readonly count: number
}

export interface KeyUsePage {
  readonly uses: readonly KeyUseCount[]
  /** It is undefined on the last page. */
  readonly next: RowKey | undefined
}

/** From a row on; undefined: from the first. */
export const countKeyUses = query(
  "CountKeyUses",
  (view, source: KeyUseSource, start: RowKey | undefined): KeyUsePage => {
    const counts = new Map<string, KeyUseCount>()
    let rows = 0
    let last: RowKey | undefined
    const range = { ...ALL_OBJECT_ROWS, ...(start && { start }), expectedRows: ROWS_PER_PAGE + 1 }
    const found = source === "uploads" ? valuesOf(view.range(source, range)) : allVersions(view, range)
    for (const [key, value] of found) {
      if (rows === ROWS_PER_PAGE && last !== undefined) return { uses: [...counts.values()], next: rowKeyAfter(last) }
      rows += 1
      last = key
      const keyArn = keyOf(source, value)
      if (keyArn === undefined) continue
      const bucketRow = view.get("buckets", bucketRowKey(bucketIdOfRowKey(key)))
      const bucket = bucketRow === undefined ? "" : decodeBucket(bucketRow.value).name
      const name = `${bucket} ${keyArn}`
      counts.set(name, { keyArn, bucket, count: (counts.get(name)?.count ?? 0) + 1 })
    }
    return { uses: [...counts.values()], next: undefined }
  },
)

function* valuesOf(rows: Iterable<readonly [RowKey, MetadataRow]>): Generator<readonly [RowKey, Uint8Array]> {
  for (const [key, { value }] of rows) yield [key, value]
}

/** The records of versions, with deleted ones that are kept, of one moment, in the order of their keys. */
function* allVersions(
  view: RowView,
  range: { readonly start: RowKey; readonly end: RowKey; readonly expectedRows: number },
): Generator<readonly [RowKey, Uint8Array]> {
  const deleted = view.range("deleted", range)[Symbol.iterator]()
  let next = deleted.next()
  for (const [key, { value }] of mergedVersions(view, range)) {
    for (; next.done !== true && next.value[0] < key; next = deleted.next()) yield recordIn(next.value)
    yield [key, value]
  }
  for (; next.done !== true; next = deleted.next()) yield recordIn(next.value)
}

const recordIn = ([key, { value }]: readonly [RowKey, MetadataRow]): readonly [RowKey, Uint8Array] => [
  key,
  openDeletedVersion(value).record,
]

/** The ARN of the named key that sealed it; undefined: none did. */
function keyOf(source: KeyUseSource, value: Uint8Array): string | undefined {
  const sealing =
    source === "uploads"
      ? decodeUpload(value).sealing
      : isSealedVersion(value)
        ? decodeVersion(value).sealing
        : undefined
  return sealing?.key.mode === "kms" ? sealing.key.keyArn : undefined
}
