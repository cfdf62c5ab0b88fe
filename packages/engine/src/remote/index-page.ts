/**
 * One page of a device's index, for another node: the needles of a range, of some partitions or all.
 *
 * Limits    `pageNeedlesMax` needles; `pageSeeksMax` places at which the index is opened.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { parsePartitionId, type RowKey } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import type { ShardStore } from "../block/index.js"
import { needleKeysOfPartition, partitionOfKey } from "../format/needles/needle.js"
import type { IndexedCall, ListedNeedle, PageEnd, PartitionSet } from "../format/nodes/shard-calls.js"
import type { RemoteLimits } from "./limits.js"

interface IndexPage {
  readonly needles: readonly ListedNeedle[]
  readonly end: PageEnd
}

/** Keys that are read in sequence. */
interface Stretch {
  readonly start: RowKey
  readonly end: RowKey
  /** The place to look for the next stretch at; undefined after the last partition. */
  readonly next: RowKey | undefined
}

const END: PageEnd = { kind: "end" }

export async function indexPage(
  store: ShardStore,
  { start, end, needlesMin, partitions }: Omit<IndexedCall, "deviceId">,
  { pageNeedlesMax, pageSeeksMax }: Pick<RemoteLimits, "pageNeedlesMax" | "pageSeeksMax">,
): Promise<IndexPage> {
  const needlesMax = Math.max(1, Math.min(needlesMin, pageNeedlesMax))
  const needles: ListedNeedle[] = []
  let seeks = 0
  for (let from: RowKey | undefined = start; from !== undefined && from < end; seeks += 1) {
    const stretch = nextStretch(from, end, partitions)
    if (stretch === undefined) break
    if (seeks === pageSeeksMax) return { needles, end: { kind: "more", next: stretch.start } }
    try {
      const found = store.indexed(stretch, needlesMax - needles.length + 1)
      // Needles that are there synchronously are valid within this turn only.
      for (const needle of found instanceof Promise ? await found : found) {
        if (needles.length === needlesMax) return { needles, end: { kind: "more", next: needle.key } }
        needles.push(needle)
      }
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      return { needles, end: { kind: "damaged" } }
    }
    from = stretch.next
  }
  return { needles, end: END }
}

/** The next run of partitions in the set. */
function nextStretch(from: RowKey, end: RowKey, partitions: PartitionSet | undefined): Stretch | undefined {
  if (partitions === undefined) return { start: from, end, next: undefined }
  let first = partitionOfKey(from)
  while (first < PARTITIONS && !partitions.has(first)) first += 1
  if (first === PARTITIONS) return undefined
  let last = first
  while (last + 1 < PARTITIONS && partitions.has(last + 1)) last += 1
  const [start, stretchEnd] = [keysOf(first).start, keysOf(last).end]
  if (start >= end) return undefined
  return {
    start: start > from ? start : from,
    end: stretchEnd < end ? stretchEnd : end,
    next: last + 1 < PARTITIONS ? keysOf(last + 1).start : undefined,
  }
}

const keysOf = (partition: number) => needleKeysOfPartition(parsePartitionId(partition))
