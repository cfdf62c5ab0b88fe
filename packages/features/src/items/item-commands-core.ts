/**
 * Commands on K2V items: writes of one partition, items that come back from a copy of the metadata, and the collection of
 * tombstones. Pure.
 *
 * Promises  A write changes the item, the counts of its partition and of its bucket, and the order of changes together.
 *           The writes of a partition are in one order, by times that never repeat: each is later than all before it, and
 *           not before the clock of the process, so that a time of a database that was set back does not return.
 * Refuses   `limitExceeded`: too many concurrent values, or bytes of them. What features refuse.
 */
import { fail } from "@hayloft/base/failures.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import type { BucketId, ItemKey, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  changeRowKey,
  decodeK2vChange,
  encodeK2vChange,
  encodeK2vItem,
  encodeK2vPartition,
  encodeK2vValue,
  itemRowKey,
  valueRowKey,
  type K2vDot,
  type K2vItem,
  type K2vPartition,
  type K2vValue,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CausalContext, VectorNode } from "@hayloft/engine/format/k2v/k2v-token.js"
import { bucketRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type CommandView, type Touches } from "@hayloft/engine/metadata/index.js"
import { bucketOfRow, requireBucket, usageChanges } from "@hayloft/objects/door/rows.js"
import type { ItemPortion, ValueRow } from "./found-items-core.js"
import { itemIn, itemToChange, partitionIn } from "./item-rows-core.js"
import { ITEM_LIMITS } from "./limits.js"
import { changedAtOf, countsOf, isOver, mergeItems, valuesOf, writeValue } from "./vector-core.js"

export interface ItemWrite {
  readonly sortKey: ItemKey
  /** The causal context that the client has seen of the item. */
  readonly seen: CausalContext
  /** The value is undefined for a tombstone. */
  readonly value: { readonly bytes: Uint8Array; readonly sha256: Uint8Array } | undefined
}

interface PartitionWrites {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  /** The store, in the vectors of its items. */
  readonly node: VectorNode
  /** The writes are of different items. */
  readonly writes: readonly ItemWrite[]
}

function valueOf({ value }: ItemWrite): K2vValue {
  if (value === undefined) return { kind: "tombstone" }
  const { bytes, sha256 } = value
  if (bytes.length <= ITEM_LIMITS.inlineBytesMax) return { kind: "inline", bytes }
  return { kind: "row", lengthBytes: bytes.length, sha256 }
}

/** Throws `limitExceeded`. */
function checkItem(item: K2vItem): void {
  const { valuesMax, itemBytesMax } = ITEM_LIMITS
  const message = (most: string) =>
    `The item would have more than ${most} of concurrent values: read it, and write with its causality token.`
  if (valuesOf(item).length > valuesMax) throw fail("limitExceeded", { message: message(`${valuesMax} values`) })
  if (countsOf(item).bytes > itemBytesMax) throw fail("limitExceeded", { message: message(`${itemBytesMax} bytes`) })
}

/** Items that occur twice are written by different commands. */
export function firstOfDifferentItems<T extends { readonly sortKey: ItemKey }>(writes: readonly T[]): readonly T[] {
  const seen = new Set<ItemKey>()
  const again = writes.findIndex(({ sortKey }) => {
    if (seen.has(sortKey)) return true
    seen.add(sortKey)
    return false
  })
  return again < 0 ? writes : writes.slice(0, again)
}

interface Change {
  readonly writes: readonly EntryWrite[]
  readonly partition: K2vPartition
}

/** The next state of an item. */
interface NextItem {
  readonly item: K2vItem
  /** Values that it does not have any more. */
  readonly obsolete: readonly (K2vDot & { readonly node: VectorNode })[]
  /** A new value that has a row of its own. */
  readonly value: ValueRow | undefined
}

/** The change from one state of an item to the next, which has a latest change of its own. */
function changeOf(
  view: CommandView,
  [stem, sortKey]: readonly [partition: RowKey, sortKey: ItemKey],
  before: K2vItem,
  { item, obsolete, value }: NextItem,
  partition: K2vPartition,
): Change {
  const key = itemRowKey(stem, sortKey)
  const [timeBefore, time] = [changedAtOf(before), changedAtOf(item)]
  const gone: Touches = [
    ...(timeBefore === time ? [] : [["k2vChanges", changeRowKey(stem, timeBefore)] as const]),
    ...obsolete
      .filter(dot => dot.value.kind === "row")
      .map(dot => ["k2vValues", valueRowKey(key, dot.node, dot.time)] as const),
  ]
  const writes: EntryWrite[] = gone
    .filter(([family, row]) => view.ifPresent(family, row) !== undefined)
    .map(([family, row]) => ({ family, key: row, value: undefined }))
  writes.push({ family: "k2vItems", key, value: encodeK2vItem(item) })
  if (timeBefore !== time)
    writes.push({ family: "k2vChanges", key: changeRowKey(stem, time), value: encodeK2vChange(sortKey) })
  if (value !== undefined)
    writes.push({
      family: "k2vValues",
      key: valueRowKey(key, value.node, value.time),
      value: encodeK2vValue(value.bytes),
    })
  const [was, is] = [countsOf(before), countsOf(item)]
  const changed = {
    entries: partition.entries + is.entries - was.entries,
    conflicts: partition.conflicts + is.conflicts - was.conflicts,
    values: partition.values + is.values - was.values,
    bytes: partition.bytes + is.bytes - was.bytes,
    changedAt: Math.max(partition.changedAt, time),
    collectedTo: partition.collectedTo,
  }
  return { writes, partition: changed }
}

const bytesOf = (writes: readonly EntryWrite[]): number =>
  writes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)

interface ChangesOf<Each> {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  /** The entries are of different items. */
  readonly each: readonly Each[]
  /** Returns undefined if nothing changes. */
  readonly change: (each: Each, partition: K2vPartition) => Change | undefined
  /** The changes were accepted before and are not refused. */
  readonly isRestoring: boolean
}

/** Makes the first of the changes, and the next ones as long as one command may write so much; the result is how many. */
function makeChanges<Each>(view: CommandView, changes: ChangesOf<Each>) {
  const { bucketId, isRestoring } = changes
  const bucket = requireBucket(view, bucketId)
  const key = objectRowKey(bucketId, changes.partition)
  const before = partitionIn(view, key)
  let [partition, done, bytes] = [before, 0, 0]
  const writes: EntryWrite[] = []
  for (const each of changes.each) {
    const change = changes.change(each, partition)
    if (change !== undefined) {
      bytes += bytesOf(change.writes)
      const isFull = writes.length + change.writes.length > ITEM_LIMITS.commandRowsMax
      if (done > 0 && (isFull || bytes > ITEM_LIMITS.commandBytesMax)) break
      writes.push(...change.writes)
      partition = change.partition
    }
    done += 1
  }
  if (writes.length === 0) return { writes, result: done }
  writes.push({ family: "k2vPartitions", key, value: encodeK2vPartition(partition) })
  const grown = partition.bytes - before.bytes
  const parts = { bytes: 0, countedBy: undefined }
  const usage = usageChanges(view, [{ bucket, bytes: grown, versions: 0, addsObject: false, parts, isRestoring }])
  const counts = [{ bucketId, change: { objects: 0, versions: 0, bytes: grown, uploads: 0 } }]
  return { writes, counts, usage, result: done }
}

/** The rows that changes of these items begin with. */
function touchesOf(bucketId: BucketId, partition: ItemKey, items: readonly { readonly sortKey: ItemKey }[]): Touches {
  const stem = objectRowKey(bucketId, partition)
  const rows = items.map(({ sortKey }) => ["k2vItems", itemRowKey(stem, sortKey)] as const)
  return [["buckets", bucketRowKey(bucketId)], ["k2vPartitions", stem], ...rows]
}

/** Throws `noSuchBucket`, `bucketClosing`, `limitExceeded`, and what features refuse. */
export const writeItems = command<[writes: PartitionWrites], number>({
  name: "WriteItems",
  grows: ({ writes }) => writes.some(({ value }) => value !== undefined),
  touches: ({ bucketId, partition, writes }) => touchesOf(bucketId, partition, writes),
  decide(view, { nowMs }, { bucketId, partition, node, writes }) {
    const stem = objectRowKey(bucketId, partition)
    const change = (write: ItemWrite, row: K2vPartition): Change => {
      const before = itemToChange(view, itemRowKey(stem, write.sortKey))
      const time = Math.max(row.changedAt + 1, nowMs, changedAtOf(before) + 1)
      const value = valueOf(write)
      const written = writeValue(before, { node, time, value, seen: write.seen })
      checkItem(written.item)
      const bytes = value.kind === "row" ? write.value?.bytes : undefined
      const next = { ...written, value: bytes && { node, time, bytes } }
      return changeOf(view, [stem, write.sortKey], before, next, row)
    }
    return makeChanges(view, { bucketId, partition, each: writes, change, isRestoring: false })
  },
})

interface ItemsToRestore {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  /** The portions are of different items. */
  readonly portions: readonly ItemPortion[]
}

const dotsOf = (item: K2vItem) => item.flatMap(({ node, values }) => values.map(dot => ({ ...dot, node })))

const hasDot = (item: K2vItem, of: { readonly node: VectorNode; readonly time: number }): boolean =>
  dotsOf(item).some(({ node, time }) => node === of.node && time === of.time)

const isEqualItem = (one: K2vItem, other: K2vItem): boolean => equalBytes(encodeK2vItem(one), encodeK2vItem(other))

/** In the vector of an item whose latest change has the time of another item's. */
const MOVED_NODE: VectorNode = "f".repeat(16)

/**
 * Returns what the merge of a portion makes of an item; undefined if the item has all of it. For an item that is not
 * there, everything up to the last collection of the partition was collected.
 */
function mergedItem(before: K2vItem, portion: ItemPortion, { collectedTo }: K2vPartition): K2vItem | undefined {
  const isLater = ({ time }: K2vDot): boolean => time > collectedTo
  const item =
    before.length > 0 ? portion.item : portion.item.map(state => ({ ...state, values: state.values.filter(isLater) }))
  const merged = mergeItems(before, item)
  return valuesOf(merged).length === 0 || isEqualItem(before, merged) ? undefined : merged
}

/** Returns how many items lack some portion; undefined if there is no such bucket, or it is being removed. */
export const itemsBehind = query(
  "ItemsBehind",
  (view, { bucketId, partition, portions }: ItemsToRestore): number | undefined => {
    const bucket = view.get("buckets", bucketRowKey(bucketId))
    if (bucket === undefined || bucketOfRow(bucket).state !== "open") return undefined
    const stem = objectRowKey(bucketId, partition)
    const row = partitionIn(view, stem)
    const behind = portions.filter(
      portion => mergedItem(itemIn(view, itemRowKey(stem, portion.sortKey)), portion, row) !== undefined,
    )
    return new Set(behind.map(({ sortKey }) => sortKey)).size
  },
)

/**
 * Brings items of another copy of the rows back: merges each with what is there. A command that is repeated changes
 * nothing. Returns how many portions are done. Throws `noSuchBucket`, `bucketClosing`.
 */
export const restoreItems = command<[restore: ItemsToRestore], number>({
  name: "RestoreItems",
  touches: ({ bucketId, partition, portions }) => touchesOf(bucketId, partition, portions),
  decide(view, { nowMs }, { bucketId, partition, portions }) {
    const stem = objectRowKey(bucketId, partition)
    const change = (portion: ItemPortion, row: K2vPartition): Change | undefined => {
      const { sortKey, value } = portion
      const before = itemToChange(view, itemRowKey(stem, sortKey))
      const merged = mergedItem(before, portion, row)
      if (merged === undefined) return undefined
      const other = view.ifPresent("k2vChanges", changeRowKey(stem, changedAtOf(merged)))
      const isTaken = other !== undefined && decodeK2vChange(other.value) !== sortKey
      const moved = { node: MOVED_NODE, discard: Math.max(row.changedAt + 1, nowMs), values: [] }
      const item = isTaken ? mergeItems(merged, [moved]) : merged
      const isNew = value !== undefined && hasDot(item, value) && !hasDot(before, value)
      const next = {
        item,
        obsolete: dotsOf(before).filter(dot => !hasDot(item, dot)),
        value: isNew ? value : undefined,
      }
      return changeOf(view, [stem, sortKey], before, next, row)
    }
    return makeChanges(view, { bucketId, partition, each: portions, change, isRestoring: true })
  },
})

interface TombstonesOfPartition {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  readonly sortKeys: readonly ItemKey[]
}

/**
 * Removes items that have had only tombstones since this time, while the bucket is open. Returns how many.
 * See decision 77.
 */
export const collectTombstones = command<[of: TombstonesOfPartition, atMs: number], number>({
  name: "CollectTombstones",
  grows: false,
  touches: ({ bucketId, partition, sortKeys }) =>
    touchesOf(
      bucketId,
      partition,
      sortKeys.map(sortKey => ({ sortKey })),
    ),
  decide(view, _time, { bucketId, partition, sortKeys }, atMs) {
    const bucket = view.get("buckets", bucketRowKey(bucketId))
    if (bucket === undefined || bucketOfRow(bucket).state !== "open") return { writes: [], result: 0 }
    const stem = objectRowKey(bucketId, partition)
    const before = partitionIn(view, stem)
    let [conflicts, collectedTo] = [before.conflicts, before.collectedTo]
    const writes: EntryWrite[] = []
    for (const sortKey of sortKeys) {
      const key = itemRowKey(stem, sortKey)
      const item = itemToChange(view, key)
      if (!isOver(item, atMs)) continue
      const change = changeRowKey(stem, changedAtOf(item))
      writes.push({ family: "k2vItems", key, value: undefined })
      if (view.ifPresent("k2vChanges", change) !== undefined)
        writes.push({ family: "k2vChanges", key: change, value: undefined })
      conflicts -= countsOf(item).conflicts
      collectedTo = Math.max(collectedTo, changedAtOf(item))
    }
    const result = writes.filter(({ family }) => family === "k2vItems").length
    if (result === 0) return { writes: [], result }
    // The row stays: no time of the partition is used again.
    const value = encodeK2vPartition({ ...before, conflicts, collectedTo })
    return { writes: [...writes, { family: "k2vPartitions", key: stem, value }], result }
  },
})
