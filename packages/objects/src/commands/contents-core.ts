/**
 * The contents of buckets that features have beside objects: the core asks whether there are any, and removes the rows that
 * a bucket which is gone leaves. Pure.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { parseBucketId, rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { bucketIdOfRowKey, bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import type { BucketContents } from "../door/decision-part.js"
import { bucketContents } from "../door/parts.js"

/** Rows that one query visits. */
const ROWS_PER_PAGE = 1_000
/** Half of what a command may write. */
const DROPPED_PER_COMMAND = 512

interface ContentsSearch {
  readonly isFound: boolean
  /** The place where the search goes on; undefined: it is over. */
  readonly next: RowKey | undefined
}

/** Searches some rows for an entry. A decision relies on what it finds alone. */
function searchIn(
  view: Pick<RowView, "range">,
  bucketId: BucketId,
  contents: BucketContents,
  from?: RowKey,
): ContentsSearch {
  const start = from ?? bucketRowKey(bucketId)
  const range = { start, end: bucketRowKey(parseBucketId(bucketId + 1)), presentOnly: true }
  let rows = 0
  for (const [key, row] of view.range(contents.counted, { ...range, expectedRows: ROWS_PER_PAGE })) {
    if (rows === ROWS_PER_PAGE) return { isFound: false, next: rowKeyOf(key) }
    rows += 1
    if (contents.held(row).entries > 0) return { isFound: true, next: undefined }
  }
  return { isFound: false, next: undefined }
}

/** Searches some rows of a bucket. `counted`: the family by which a feature tells what is there. */
export const findContents = query(
  "FindContents",
  (view, bucketId: BucketId, counted: Family, from?: RowKey): ContentsSearch => {
    const contents = bucketContents().find(each => each.counted === counted)
    return contents === undefined ? { isFound: false, next: undefined } : searchIn(view, bucketId, contents, from)
  },
)

/** Returns true if there is something among the first rows of a feature. */
export const hasContents = (view: Pick<RowView, "range">, bucketId: BucketId): boolean =>
  bucketContents().some(contents => searchIn(view, bucketId, contents).isFound)

const familiesOfContents = (): readonly Family[] => bucketContents().flatMap(({ families }) => families)

/** The first bucket, from this one on, that has rows of features. */
export const nextBucketWithContents = query("NextBucketWithContents", (view, from: BucketId): BucketId | undefined => {
  const range = { start: bucketRowKey(from), end: rowKeyOf("\xff"), expectedRows: 1 }
  const found = familiesOfContents().flatMap(family => {
    const first = view.range(family, range)[Symbol.iterator]().next()
    return first.done === true ? [] : [bucketIdOfRowKey(first.value[0])]
  })
  return found.length === 0 ? undefined : parseBucketId(Math.min(...found))
})

/** Removes rows that features have of a bucket that is gone. Returns whether there may be more. */
export const dropContents = command<[bucketId: BucketId], boolean>({
  name: "DropContents",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    if (view.get("buckets", bucketRowKey(bucketId)) !== undefined) return { writes: [], result: false }
    const writes: EntryWrite[] = []
    // Ids of buckets are never used again: what is not there stays absent.
    const range = { ...suffixRange(bucketRowKey(bucketId)), expectedRows: DROPPED_PER_COMMAND, presentOnly: true }
    for (const family of familiesOfContents()) {
      for (const [key] of view.range(family, range)) {
        if (writes.length === DROPPED_PER_COMMAND) return { writes, result: true }
        writes.push({ family, key, value: undefined })
      }
    }
    return { writes, result: false }
  },
})
