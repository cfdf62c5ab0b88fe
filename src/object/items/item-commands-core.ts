/**
 * Commands on K2V items: writes of one partition, and the removal of what a deleted bucket leaves. Pure.
 *
 * Promises  A write changes the item, the counts of its partition and of its bucket, and the order of changes together.
 *           The writes of a partition are in one order, by times that never repeat: each is later than all before it, and
 *           not before the clock of the process, so that a time of a database that was set back does not return.
 * Refuses   `limitExceeded`: too many concurrent values, or bytes of them. What quotas refuse.
 */
import { fail } from "../../base/failures.js"
import { ITEM_FAMILIES } from "../../base/families.js"
import type { BucketId, ItemKey } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import {
  changeRowKey,
  encodeK2vChange,
  encodeK2vItem,
  encodeK2vPartition,
  encodeK2vValue,
  itemRowKey,
  valueRowKey,
  type K2vItem,
  type K2vPartition,
  type K2vValue,
} from "../../format/k2v-rows.js"
import type { CausalContext, VectorNode } from "../../format/k2v-token.js"
import { bucketRowKey, objectRowKey, suffixRange } from "../../format/row-key.js"
import { command, type CommandView, type Touches } from "../../metadata/index.js"
import { requireBucket } from "../commands/bucket-rows-core.js"
import { usageChanges } from "../commands/usage-core.js"
import { itemIn, partitionIn } from "./item-rows-core.js"
import { ITEM_LIMITS } from "./limits.js"
import { changedAtOf, countsOf, valuesOf, writeValue } from "./vector-core.js"

export interface ItemWrite {
  readonly sortKey: ItemKey
  /** What the client has seen of the item. */
  readonly seen: CausalContext
  /** Undefined: a tombstone. */
  readonly value: { readonly bytes: Uint8Array; readonly sha256: Uint8Array } | undefined
}

interface PartitionWrites {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  /** The store, in the vectors of its items. */
  readonly node: VectorNode
  /** Of different items. */
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

interface Change {
  readonly writes: readonly EntryWrite[]
  readonly partition: K2vPartition
}

function changeOf(
  view: CommandView,
  { bucketId, partition: name, node }: PartitionWrites,
  write: ItemWrite,
  partition: K2vPartition,
  nowMs: number,
): Change {
  const stem = objectRowKey(bucketId, name)
  const key = itemRowKey(stem, write.sortKey)
  const before = itemIn(view, key)
  const time = Math.max(partition.changedAt + 1, nowMs, changedAtOf(before) + 1)
  const { item, obsolete } = writeValue(before, { node, time, value: valueOf(write), seen: write.seen })
  checkItem(item)
  const gone: Touches = [
    ["k2vChanges", changeRowKey(stem, changedAtOf(before))],
    ...obsolete
      .filter(({ value }) => value.kind === "row")
      .map(dot => ["k2vValues", valueRowKey(key, dot.node, dot.time)] as const),
  ]
  const writes: EntryWrite[] = gone
    .filter(([family, row]) => view.ifPresent(family, row) !== undefined)
    .map(([family, row]) => ({ family, key: row, value: undefined }))
  writes.push({ family: "k2vItems", key, value: encodeK2vItem(item) })
  writes.push({ family: "k2vChanges", key: changeRowKey(stem, time), value: encodeK2vChange(write.sortKey) })
  if (write.value !== undefined && write.value.bytes.length > ITEM_LIMITS.inlineBytesMax)
    writes.push({ family: "k2vValues", key: valueRowKey(key, node, time), value: encodeK2vValue(write.value.bytes) })
  const [was, is] = [countsOf(before), countsOf(item)]
  const changed = {
    entries: partition.entries + is.entries - was.entries,
    conflicts: partition.conflicts + is.conflicts - was.conflicts,
    values: partition.values + is.values - was.values,
    bytes: partition.bytes + is.bytes - was.bytes,
    changedAt: time,
  }
  return { writes, partition: changed }
}

const bytesOf = (writes: readonly EntryWrite[]): number =>
  writes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)

/**
 * Does the first of the writes, and the next ones as long as one command may write so much; returns how many. Throws
 * `noSuchBucket`, `bucketClosing`, `limitExceeded`, `quotaExceeded`.
 */
export const writeItems = command<[writes: PartitionWrites], number>({
  name: "WriteItems",
  grows: ({ writes }) => writes.some(({ value }) => value !== undefined),
  touches: ({ bucketId, partition, writes }) => {
    const stem = objectRowKey(bucketId, partition)
    const items = writes.map(({ sortKey }) => ["k2vItems", itemRowKey(stem, sortKey)] as const)
    return [["buckets", bucketRowKey(bucketId)], ["k2vPartitions", stem], ...items]
  },
  decide(view, { nowMs }, request) {
    const { bucketId } = request
    const bucket = requireBucket(view, bucketId)
    const key = objectRowKey(bucketId, request.partition)
    const before = partitionIn(view, key)
    let [partition, done, bytes] = [before, 0, 0]
    const writes: EntryWrite[] = []
    for (const write of request.writes) {
      const change = changeOf(view, request, write, partition, nowMs)
      bytes += bytesOf(change.writes)
      const isFull = writes.length + change.writes.length > ITEM_LIMITS.commandRowsMax
      if (done > 0 && (isFull || bytes > ITEM_LIMITS.commandBytesMax)) break
      writes.push(...change.writes)
      partition = change.partition
      done += 1
    }
    writes.push({ family: "k2vPartitions", key, value: encodeK2vPartition(partition) })
    const grown = partition.bytes - before.bytes
    const parts = { bytes: 0, countedBy: undefined }
    const usage = usageChanges(view, bucket, {
      ...{ bytes: grown, versions: 0, addsObject: false, parts, isRestoring: false },
    })
    const counts = { bucketId, change: { objects: 0, versions: 0, bytes: grown, uploads: 0 } }
    return { writes, counts, usage, result: done }
  },
})

/** Half of what a command may write. */
const DROPPED_PER_COMMAND = 512

/** Removes rows of the items of a bucket that is gone. Returns whether there may be more. */
export const dropItemRows = command<[bucketId: BucketId], boolean>({
  name: "DropItemRows",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    if (view.get("buckets", bucketRowKey(bucketId)) !== undefined) return { writes: [], result: false }
    const writes: EntryWrite[] = []
    // Ids of buckets are never used again: what is not there stays absent.
    const range = { ...suffixRange(bucketRowKey(bucketId)), expectedRows: DROPPED_PER_COMMAND, presentOnly: true }
    for (const family of ITEM_FAMILIES) {
      for (const [key] of view.range(family, range)) {
        if (writes.length === DROPPED_PER_COMMAND) return { writes, result: true }
        writes.push({ family, key, value: undefined })
      }
    }
    return { writes, result: false }
  },
})
