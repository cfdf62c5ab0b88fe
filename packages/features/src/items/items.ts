/**
 * K2V items of buckets: reading, writing, searching, and waiting for changes. See decision 73.
 *
 * Promises  Every read includes everything that was acknowledged before it, by any node. A write is acknowledged once it is
 *           as durable as an object. A batch is not atomic: if it fails, some of its writes may have happened.
 * Refuses   `noSuchBucket`, `bucketClosing`, `entityTooLarge`, `limitExceeded`, what features refuse; `tooManyInFlight` for
 *           more waiting than `ITEM_LIMITS` allows.
 */
import { createHash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { ItemKey } from "@hayloft/base/ids.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { mapBounded, type Watcher } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ChangeWatch } from "@hayloft/objects/door/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { firstOfDifferentItems, writeItems, type ItemWrite } from "./item-commands-core.js"
import {
  readChanges,
  readChangeTimes,
  readContexts,
  readItem,
  readItems,
  readPartitions,
  requireMarker,
  type ItemContent,
  type ItemFilter,
  type KeyBounds,
  type PartitionEntry,
  type SeenItem,
} from "./item-queries-core.js"
import { ITEM_LIMITS } from "./limits.js"

/** Commands of one batch under way. */
const COMMANDS_OF_BATCH = 8

export interface NewValue {
  readonly partition: ItemKey
  readonly sortKey: ItemKey
  readonly seen: CausalContext
  /** The bytes are undefined for a tombstone. */
  readonly bytes: Uint8Array | undefined
}

/** A listing that may go on. */
interface Listed<T> {
  readonly found: readonly T[]
  /** The first key that was left out because of a limit. */
  readonly next: ItemKey | undefined
}

interface ItemSeams {
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Resolves once earlier releases refuse the devices. */
  readonly prepare: () => Promise<void>
  readonly isShared: boolean
}

/** The one node in the vectors of a bucket's items: no other bucket, of any store, has it. */
const nodeOf = ({ id, createdMs }: Bucket): string =>
  createdMs.toString(16).padStart(12, "0").slice(-12) + (id % 0x1_0000).toString(16).padStart(4, "0")

/** The changes that a reader has seen. */
export interface SeenChanges {
  /** Changes up to this time. */
  readonly time: number
  /** It is still reading what there was at that time, by key, and has come to this one. */
  readonly from: ItemKey | undefined
}

interface Changes {
  readonly found: readonly ItemContent[]
  readonly seen: SeenChanges
}

const WITH_VALUES: ItemFilter = { conflictsOnly: false, tombstones: false }
const highest = (a: ItemKey, b: ItemKey): ItemKey => (a > b ? a : b)
const bytesOf = ({ values }: ItemContent): number => values.reduce((sum, value) => sum + (value?.length ?? 0), 0)
const SEEN_NOTHING: CausalContext = new Map()

export class Items {
  private readonly watch: ChangeWatch

  constructor(private readonly seams: ItemSeams) {
    this.watch = new ChangeWatch(seams, readChangeTimes)
  }

  /** Returns undefined if the item was never written, or has nothing that is not in `seen`. */
  async read(
    bucket: Bucket,
    partition: ItemKey,
    sortKey: ItemKey,
    seen = SEEN_NOTHING,
  ): Promise<ItemContent | undefined> {
    const store = { bucketId: bucket.id, node: nodeOf(bucket) }
    return this.seams.metadata.ask(readItem(store, partition, sortKey, seen))
  }

  async write(bucket: Bucket, values: readonly NewValue[]): Promise<void> {
    for (const { bytes } of values) {
      if (bytes === undefined || bytes.length <= ITEM_LIMITS.valueBytesMax) continue
      throw fail("entityTooLarge", { sizeBytes: bytes.length, maxSizeAllowedBytes: ITEM_LIMITS.valueBytesMax })
    }
    const partitions = new Map<ItemKey, ItemWrite[]>()
    for (const { partition, sortKey, seen, bytes } of values) {
      const writes = partitions.get(partition) ?? []
      partitions.set(partition, writes)
      writes.push({ sortKey, seen, value: bytes && { bytes, sha256: createHash("sha256").update(bytes).digest() } })
    }
    await this.seams.prepare()
    await mapBounded(partitions, COMMANDS_OF_BATCH, ([partition, writes]) => this.writeTo(bucket, partition, writes))
  }

  private async writeTo(bucket: Bucket, partition: ItemKey, writes: readonly ItemWrite[]): Promise<void> {
    const bucketId = bucket.id
    for (let done = 0; done < writes.length;) {
      const some = firstOfDifferentItems(writes.slice(done, done + ITEM_LIMITS.writesPerCommand))
      const request = { bucketId, partition, node: nodeOf(bucket), writes: some }
      const count = await this.seams.metadata.run(writeItems(request))
      const changed = some.slice(0, count).map(({ sortKey }) => sortKey)
      this.watch.changed(objectRowKey(bucketId, partition), changed)
      done += count
    }
  }

  /** `limit`: at most so many, and never more than the store returns at once. */
  search(
    { id }: Bucket,
    partition: ItemKey,
    bounds: KeyBounds,
    filter: ItemFilter,
    limit = Infinity,
  ): Promise<Listed<ItemContent>> {
    const page = async (from: KeyBounds, max: number) =>
      this.seams.metadata.ask(readItems(id, partition, from, filter, max))
    return collect(bounds, limit, page, ({ sortKey }) => sortKey, bytesOf)
  }

  /** Partitions with items that are not only tombstones. */
  partitions({ id }: Bucket, bounds: KeyBounds, limit = Infinity): Promise<Listed<PartitionEntry>> {
    const page = async (from: KeyBounds, max: number) => this.seams.metadata.ask(readPartitions(id, from, max))
    return collect(
      bounds,
      limit,
      page,
      ({ partition }) => partition,
      () => 0,
    )
  }

  /** Puts a tombstone in place of what each item of the range has as it is read; returns how many had a value. */
  async removeAll(bucket: Bucket, partition: ItemKey, bounds: KeyBounds): Promise<number> {
    let removed = 0
    let from: KeyBounds | undefined = bounds
    while (from !== undefined) {
      const page: Listed<SeenItem> = await this.seams.metadata.ask(readContexts(bucket.id, partition, from))
      const { found, next } = page
      const values = found.map(({ sortKey, context }) => ({ partition, sortKey, seen: context, bytes: undefined }))
      if (values.length > 0) await this.write(bucket, values)
      removed += found.length
      from = next === undefined ? undefined : { ...bounds, start: next }
    }
    return removed
  }

  /** Puts a tombstone in place of what one item has as it is read; returns how many had a value: 0 or 1. */
  async remove(bucket: Bucket, partition: ItemKey, sortKey: ItemKey): Promise<number> {
    const item = await this.read(bucket, partition, sortKey)
    if (item === undefined || item.values.every(value => value === undefined)) return 0
    await this.write(bucket, [{ partition, sortKey, seen: item.context, bytes: undefined }])
    return 1
  }

  /**
   * Returns what a reader of the range has not seen; from the beginning: all items that have a value. Throws
   * `invalidArgument` if the reader was away for so long that deleted items were removed which it may know.
   */
  async changes(
    bucket: Bucket,
    partition: ItemKey,
    bounds: KeyBounds,
    seen: SeenChanges | undefined,
  ): Promise<Changes> {
    if (seen !== undefined && seen.from === undefined) return this.changesAfter(bucket, partition, bounds, seen.time)
    if (seen !== undefined) await this.seams.metadata.ask(requireMarker(bucket.id, partition, seen.time))
    // Changes from now on are later than this time, so that they are found again.
    const time = seen?.time ?? (await this.changedAt(bucket, partition))
    const rest = seen?.from === undefined ? bounds : { ...bounds, start: highest(seen.from, bounds.start ?? seen.from) }
    const { found, next } = await this.search(bucket, partition, rest, WITH_VALUES)
    return { found, seen: { time, from: next } }
  }

  private async changedAt({ id }: Bucket, partition: ItemKey): Promise<number> {
    const [time = 0] = await this.seams.metadata.ask(readChangeTimes([objectRowKey(id, partition)]))
    return time
  }

  private async changesAfter({ id }: Bucket, partition: ItemKey, bounds: KeyBounds, after: number): Promise<Changes> {
    const found: ItemContent[] = []
    let bytes = 0
    for (let time = after; ;) {
      const page = await this.seams.metadata.ask(readChanges(id, partition, bounds, time))
      found.push(...page.found)
      bytes += page.found.reduce((sum, item) => sum + bytesOf(item), 0)
      time = page.seenTo
      const isFull = found.length >= ITEM_LIMITS.itemsPerPoll || bytes >= ITEM_LIMITS.bytesPerSearch
      if (page.isLast || isFull) return { found, seen: { time, from: undefined } }
    }
  }

  /** Watches an item, or a partition. Throws `tooManyInFlight`. */
  watchFor({ id }: Bucket, partition: ItemKey, sortKey?: ItemKey): Watcher {
    return this.watch.begin(objectRowKey(id, partition), sortKey)
  }

  /** How many wait. */
  get watching(): number {
    return this.watch.watching
  }
}

/** Reads pages until the limit, or that of the store. */
async function collect<T>(
  bounds: KeyBounds,
  limit: number,
  pageFrom: (from: KeyBounds, max: number) => Promise<Listed<T>>,
  keyOf: (found: T) => ItemKey,
  bytesOf: (found: T) => number,
): Promise<Listed<T>> {
  const { itemsPerSearch, bytesPerSearch } = ITEM_LIMITS
  const max = Math.min(limit, itemsPerSearch)
  const found: T[] = []
  let bytes = 0
  for (let from = bounds; ;) {
    // One more than wanted tells whether the listing goes on, and where.
    const page = await pageFrom(from, max + 1 - found.length)
    for (const one of page.found) {
      if (found.length === max || bytes >= bytesPerSearch) return { found, next: keyOf(one) }
      found.push(one)
      bytes += bytesOf(one)
    }
    if (page.next === undefined) return { found, next: undefined }
    from = { ...bounds, start: page.next }
  }
}
