/** Changes of objects that are to be copied elsewhere, and the buckets that have them. Pure. */
import { parseBucketId, rowKeyOf, type BucketId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import { decodeChange, type ObjectChange } from "@hayloft/engine/format/objects/change.js"
import { bucketRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { allBuckets } from "../commands/bucket-rows-core.js"
import { notesChanges } from "../commands/changes-core.js"
import type { Bucket } from "../contract.js"
import { bucketOf } from "./object-info-core.js"

/** Rows that a page reads. */
const ROWS_PER_PAGE = 1_000

const AFTER_ALL = rowKeyOf("\xff")

export interface NotedChange extends ObjectChange {
  readonly bucketId: BucketId
  readonly key: ObjectKey
}

export interface ChangesPage {
  /** The changes of one bucket, in the order of their keys. */
  readonly changes: readonly NotedChange[]
  /** The place where the next page begins; undefined: this is the last. */
  readonly next: RowKey | undefined
  /** The place where the page begins that has none of this bucket. */
  readonly nextBucket: RowKey | undefined
}

/**
 * The next changes that are not copied, and removals that were copied and were noted before `keptFromMs`: those of the first bucket,
 * from this row on, that has any.
 */
export const readObjectChanges = query(
  "ReadObjectChanges",
  (view, from: RowKey | undefined, keptFromMs: number, max: number): ChangesPage => {
    const changes: NotedChange[] = []
    const range = { start: from ?? rowKeyOf("\x00"), end: AFTER_ALL, expectedRows: ROWS_PER_PAGE }
    let rows = 0
    for (const [row, { value }] of view.range("changes", range)) {
      const { bucketId: number, key } = parseObjectRowKey(row)
      const bucketId = parseBucketId(number)
      const isOther = changes[0] !== undefined && changes[0].bucketId !== bucketId
      if (rows === ROWS_PER_PAGE || changes.length === max || isOther) return pageOf(changes, row)
      rows += 1
      const change = decodeChange(value)
      const isKept = change.isCopied && change.notedMs >= keptFromMs
      if (!isKept) changes.push({ ...change, bucketId, key })
    }
    return pageOf(changes, undefined)
  },
)

const pageOf = (changes: readonly NotedChange[], next: RowKey | undefined): ChangesPage => {
  const [first] = changes
  return { changes, next, nextBucket: first && next && bucketRowKey(parseBucketId(first.bucketId + 1)) }
}

/** The open buckets whose changes are noted. */
export const bucketsWithChanges = query("BucketsWithChanges", (view): readonly Bucket[] => {
  const noting = allBuckets(view).filter(record => record.state === "open" && notesChanges(record))
  return noting.map(bucketOf)
})
