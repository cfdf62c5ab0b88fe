/** Rows of K2V items as decisions and queries see them. Pure. */
import { parseBucketId, rowKeyOf, type BucketId, type RowKey } from "../../base/ids.js"
import { decodeK2vItem, decodeK2vPartition, type K2vItem, type K2vPartition } from "../../format/k2v-rows.js"
import { bucketRowKey } from "../../format/row-key.js"
import type { CommandView, RowView } from "../../metadata/index.js"
import { ITEM_LIMITS } from "./limits.js"

const NO_PARTITION: K2vPartition = { entries: 0, conflicts: 0, values: 0, bytes: 0, changedAt: 0, collectedTo: 0 }

export function partitionIn(view: Pick<RowView, "get">, key: RowKey): K2vPartition {
  const row = view.get("k2vPartitions", key)
  return row === undefined ? NO_PARTITION : decodeK2vPartition(row.value)
}

export function itemIn(view: Pick<RowView, "get">, key: RowKey): K2vItem {
  const row = view.get("k2vItems", key)
  return row === undefined ? [] : decodeK2vItem(row.value)
}

/** For a decision, which relies on the partition's row instead of on the absence of an item that it does not write. */
export const itemToChange = (view: Pick<CommandView, "ifPresent">, key: RowKey): K2vItem =>
  itemIn({ get: (family, row) => view.ifPresent(family, row) }, key)

export interface EntrySearch {
  readonly isFound: boolean
  /** Where the search goes on; undefined: it is over. */
  readonly next: RowKey | undefined
}

/** Searches some of the bucket's partitions for an item with a value. A decision relies on what it finds alone. */
export function entryIn(view: Pick<RowView, "range">, bucketId: BucketId, from?: RowKey): EntrySearch {
  const start = from ?? bucketRowKey(bucketId)
  const range = { start, end: bucketRowKey(parseBucketId(bucketId + 1)), presentOnly: true }
  let rows = 0
  for (const [key, row] of view.range("k2vPartitions", { ...range, expectedRows: ITEM_LIMITS.rowsPerPage })) {
    if (rows === ITEM_LIMITS.rowsPerPage) return { isFound: false, next: rowKeyOf(key) }
    rows += 1
    if (decodeK2vPartition(row.value).entries > 0) return { isFound: true, next: undefined }
  }
  return { isFound: false, next: undefined }
}
