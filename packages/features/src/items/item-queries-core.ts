/** Queries of K2V items. Pure. */
import { afterPrefix } from "@hayloft/base/bytes.js"
import { assert, must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { rowKeyOf, type BucketId, type ItemKey, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  decodeK2vChange,
  decodeK2vItem,
  decodeK2vPartition,
  decodeK2vValue,
  changeRowKey,
  itemRowKey,
  partitionKeyOf,
  sortKeyOf,
  timeOfChange,
  valueRowKey,
  type K2vItem,
  type K2vPartition,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CausalContext, VectorNode } from "@hayloft/engine/format/k2v/k2v-token.js"
import { bucketIdOfRowKey, bucketRowKey, objectRowKey, shiftKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { query, type MetadataRow, type QueryView } from "@hayloft/engine/metadata/index.js"
import { itemIn, partitionIn } from "./item-rows-core.js"
import { ITEM_LIMITS } from "./limits.js"
import { contextOfVector, countsOf, isNewer, isOver, valuesOf } from "./vector-core.js"

/** An item as readers get it; undefined stands for a tombstone. */
export interface ItemContent {
  readonly sortKey: ItemKey
  readonly context: CausalContext
  readonly values: readonly (Uint8Array | undefined)[]
}

interface StoreOfItems {
  readonly bucketId: BucketId
  /** The node in the vectors of what the store writes. */
  readonly node: VectorNode
}

/** Row keys of values, with the values. */
type ValueRows = ReadonlyMap<RowKey, MetadataRow>

function contentOf({ key, sortKey, item }: FoundItem, rows: ValueRows): ItemContent {
  const values = item.flatMap(({ node, values: dots }) =>
    dots.map(({ time, value }) => {
      if (value.kind === "tombstone") return undefined
      if (value.kind === "inline") return value.bytes
      const row = rows.get(valueRowKey(key, node, time))
      if (row === undefined) throw fail("corruptRow", { message: "a value of an item is lost" })
      return decodeK2vValue(row.value)
    }),
  )
  return { sortKey, context: contextOfVector(item), values }
}

interface FoundItem {
  readonly key: RowKey
  readonly sortKey: ItemKey
  readonly item: K2vItem
  /** The item before it among those found is the one before it in the partition. */
  readonly isAdjacent?: boolean
}

/** With values that have rows of their own: those of items side by side are one range, which an engine fetches at once. */
function contentsOf(view: QueryView, found: readonly FoundItem[]): readonly ItemContent[] {
  const rows = new Map<RowKey, MetadataRow>()
  let run: { readonly start: RowKey; readonly end: RowKey; readonly expectedRows: number } | undefined
  const readRun = (): void => {
    if (run !== undefined) for (const [key, row] of view.range("k2vValues", run)) rows.set(key, row)
    run = undefined
  }
  for (const { key, item, isAdjacent = false } of found) {
    if (!isAdjacent) readRun()
    const count = valuesOf(item).filter(({ kind }) => kind === "row").length
    if (count === 0) continue
    const { start, end } = suffixRange(key)
    run = { start: run?.start ?? start, end, expectedRows: (run?.expectedRows ?? 0) + count }
  }
  readRun()
  return found.map(each => contentOf(each, rows))
}

/**
 * The item, if there is one and it has something that is not seen. Everything is newer than an empty context. A client that
 * has seen an item which was collected since gets the tombstone of all of it, once.
 */
export const readItem = query(
  "ReadItem",
  (view, { bucketId, node }: StoreOfItems, partition: ItemKey, sortKey: ItemKey, seen: CausalContext) => {
    const stem = objectRowKey(bucketId, partition)
    const key = itemRowKey(stem, sortKey)
    const item = itemIn(view, key)
    if (item.length > 0 || seen.size === 0)
      return isNewer(item, seen) ? contentsOf(view, [{ key, sortKey, item }])[0] : undefined
    const { collectedTo } = partitionIn(view, stem)
    if (Math.max(...seen.values()) >= collectedTo) return undefined
    return { sortKey, context: new Map([[node, collectedTo]]), values: [undefined] }
  },
)

/** Keys as a request limits them; all absent: all keys. */
export interface KeyBounds {
  /** No other key than this one; then nothing else is set. */
  readonly only?: ItemKey | undefined
  readonly prefix?: ItemKey | undefined
  /** The place where the listing begins: in reverse the highest key. */
  readonly start?: ItemKey | undefined
  /** Excluded. */
  readonly end?: ItemKey | undefined
  readonly reverse?: boolean
}

const higher = (a: RowKey, b: RowKey): RowKey => (a > b ? a : b)
const lower = (a: RowKey, b: RowKey): RowKey => (a < b ? a : b)
/** `rowOf`: the row key of a key under the stem. */
function rangeOf(stem: string, rowOf: (key: ItemKey) => RowKey, bounds: KeyBounds): KeyRange {
  const { only, prefix = "", start, end, reverse = false } = bounds
  if (only !== undefined) return { start: rowOf(only), end: rowKeyAfter(rowOf(only)) }
  const from = stem + shiftKey(prefix)
  const all = { start: rowKeyOf(from), end: rowKeyOf(must(afterPrefix(from), "stems are never 0xFF only")) }
  if (reverse) {
    return {
      start: end === undefined ? all.start : higher(all.start, rowKeyAfter(rowOf(end))),
      end: start === undefined ? all.end : lower(all.end, rowKeyAfter(rowOf(start))),
      reverse,
    }
  }
  return {
    start: start === undefined ? all.start : higher(all.start, rowOf(start)),
    end: end === undefined ? all.end : lower(all.end, rowOf(end)),
  }
}

/** The rows of the items of a partition within bounds. */
export function itemRange(bucketId: BucketId, partition: ItemKey, bounds: KeyBounds): KeyRange {
  const stem = objectRowKey(bucketId, partition)
  return rangeOf(stem, key => itemRowKey(stem, key), bounds)
}

const partitionRange = (bucketId: BucketId, bounds: KeyBounds): KeyRange =>
  rangeOf(bucketRowKey(bucketId), key => objectRowKey(bucketId, key), bounds)

export interface ItemFilter {
  /** Items with more than one value alone. */
  readonly conflictsOnly: boolean
  /** Also items of which only tombstones are left. */
  readonly tombstones: boolean
}

interface Page<T> {
  readonly found: readonly T[]
  /** The key at which the next page begins; undefined: this is the last one. */
  readonly next: ItemKey | undefined
}

const isWanted = (item: K2vItem, { conflictsOnly, tombstones }: ItemFilter): boolean => {
  const { entries, conflicts } = countsOf(item)
  return (tombstones || entries > 0) && (!conflictsOnly || conflicts > 0)
}

function* rowsOf(view: QueryView, family: "k2vItems" | "k2vPartitions" | "k2vChanges", range: KeyRange) {
  if (range.start >= range.end) return
  yield* view.range(family, { ...range, expectedRows: ITEM_LIMITS.rowsPerPage })
}

/** At most `max` items. */
export const readItems = query(
  "ReadItems",
  (
    view,
    bucketId: BucketId,
    partition: ItemKey,
    bounds: KeyBounds,
    filter: ItemFilter,
    max: number,
  ): Page<ItemContent> => {
    const found: FoundItem[] = []
    let [rows, bytes, isAdjacent] = [0, 0, false]
    let next: ItemKey | undefined
    for (const [key, row] of rowsOf(view, "k2vItems", itemRange(bucketId, partition, bounds))) {
      const sortKey = sortKeyOf(key)
      const isFull = bytes >= ITEM_LIMITS.bytesPerPage || found.length === max
      if (rows === ITEM_LIMITS.rowsPerPage || isFull) {
        next = sortKey
        break
      }
      rows += 1
      const item = decodeK2vItem(row.value)
      const isFound = isWanted(item, filter)
      if (isFound) found.push({ key, sortKey, item, isAdjacent: isAdjacent && bounds.reverse !== true })
      if (isFound) bytes += countsOf(item).bytes
      isAdjacent = isFound
    }
    return { found: contentsOf(view, found), next }
  },
)

export type SeenItem = Omit<ItemContent, "values">

/** The items of a page without their values: what a deletion needs. */
export const readContexts = query(
  "ReadContexts",
  (view, bucketId: BucketId, partition: ItemKey, bounds: KeyBounds): Page<SeenItem> => {
    const found: SeenItem[] = []
    let rows = 0
    for (const [key, row] of rowsOf(view, "k2vItems", itemRange(bucketId, partition, bounds))) {
      const sortKey = sortKeyOf(key)
      if (rows === ITEM_LIMITS.rowsPerPage) return { found, next: sortKey }
      rows += 1
      const item = decodeK2vItem(row.value)
      if (countsOf(item).entries > 0) found.push({ sortKey, context: contextOfVector(item) })
    }
    return { found, next: undefined }
  },
)

export interface PartitionEntry extends Omit<K2vPartition, "changedAt" | "collectedTo"> {
  readonly partition: ItemKey
}

/** Partitions with items that are not only tombstones; at most `max`. */
export const readPartitions = query(
  "ReadPartitions",
  (view, bucketId: BucketId, bounds: KeyBounds, max: number): Page<PartitionEntry> => {
    const found: PartitionEntry[] = []
    let rows = 0
    for (const [key, row] of rowsOf(view, "k2vPartitions", partitionRange(bucketId, bounds))) {
      const partition = partitionKeyOf(key)
      if (rows === ITEM_LIMITS.rowsPerPage || found.length === max) return { found, next: partition }
      rows += 1
      const { changedAt: _changedAt, collectedTo: _collectedTo, ...counts } = decodeK2vPartition(row.value)
      if (counts.entries > 0) found.push({ partition, ...counts })
    }
    return { found, next: undefined }
  },
)

/** Throws `invalidArgument` if items that this reader does not know to be deleted were collected since. */
function requireKnown(view: Pick<QueryView, "get">, stem: RowKey, after: number): void {
  if (after >= partitionIn(view, stem).collectedTo) return
  const message =
    "The seen marker is too old: poll without it, and take every item that is not in the answer as deleted."
  throw fail("invalidArgument", { message })
}

/** Throws `invalidArgument` like `readChanges`. */
export const requireMarker = query(
  "RequireMarker",
  (view, bucketId: BucketId, partition: ItemKey, after: number): void =>
    requireKnown(view, objectRowKey(bucketId, partition), after),
)

interface ChangesPage {
  readonly found: readonly ItemContent[]
  /** Everything up to this time has been seen. */
  readonly seenTo: number
  readonly isLast: boolean
}

/**
 * Items of the range that changed after a time, in the order of their changes, deleted ones too. Throws `invalidArgument` if
 * some of those were collected.
 */
export const readChanges = query(
  "ReadChanges",
  (view, bucketId: BucketId, partition: ItemKey, bounds: KeyBounds, after: number): ChangesPage => {
    const stem = objectRowKey(bucketId, partition)
    requireKnown(view, stem, after)
    const wanted = itemRange(bucketId, partition, bounds)
    const range = { start: changeRowKey(stem, after + 1), end: suffixRange(stem).end }
    const found: FoundItem[] = []
    let [rows, bytes, seenTo, isLast] = [0, 0, after, true]
    for (const [row, change] of rowsOf(view, "k2vChanges", range)) {
      const isFull = bytes >= ITEM_LIMITS.bytesPerPage || found.length === ITEM_LIMITS.changesPerPage
      isLast = rows < ITEM_LIMITS.rowsPerPage && !isFull
      if (!isLast) break
      rows += 1
      seenTo = timeOfChange(row)
      const sortKey = decodeK2vChange(change.value)
      const key = itemRowKey(stem, sortKey)
      if (key < wanted.start || key >= wanted.end) continue
      const item = itemIn(view, key)
      assert(item.length > 0, "a change is of an item")
      found.push({ key, sortKey, item })
      bytes += countsOf(item).bytes
    }
    return { found: contentsOf(view, found), seenTo, isLast }
  },
)

/** When partitions changed last, in the order of their row keys. */
export const readChangeTimes = query("ReadChangeTimes", (view, partitions: readonly RowKey[]): readonly number[] =>
  partitions.map(key => partitionIn(view, key).changedAt),
)

interface OldTombstones {
  readonly found: readonly {
    readonly bucketId: BucketId
    readonly partition: ItemKey
    readonly sortKeys: readonly ItemKey[]
  }[]
  /** The place where the walk goes on; undefined: it is over. */
  readonly next: RowKey | undefined
}

/** Items of all buckets, from a row key on, that have had only tombstones since this time. */
export const oldTombstones = query("OldTombstones", (view, from: RowKey, atMs: number): OldTombstones => {
  const range = { start: from, end: rowKeyOf("\xff"), expectedRows: ITEM_LIMITS.rowsPerPage }
  const found: { bucketId: BucketId; partition: ItemKey; sortKeys: ItemKey[] }[] = []
  let rows = 0
  for (const [key, row] of view.range("k2vItems", range)) {
    if (rows === ITEM_LIMITS.rowsPerPage) return { found, next: key }
    rows += 1
    if (!isOver(decodeK2vItem(row.value), atMs)) continue
    const [bucketId, partition] = [bucketIdOfRowKey(key), partitionKeyOf(key)]
    const last = found.at(-1)
    const isFull = last !== undefined && last.sortKeys.length >= ITEM_LIMITS.tombstonesPerCommand
    if (last?.bucketId === bucketId && last.partition === partition && !isFull) last.sortKeys.push(sortKeyOf(key))
    else found.push({ bucketId, partition, sortKeys: [sortKeyOf(key)] })
  }
  return { found, next: undefined }
})
