/**
 * Shard scan: the shards on all devices, block by block, from the indexes alone.
 *
 * The scan walks the indexes of all devices together in key order, so that empty partitions cost nothing, and all
 * shards of a block meet, whichever device has them. Local devices are read within one turn of the event loop; after a
 * wait for another device, their indexes are reopened at the next key.
 *
 * If an index is damaged, the scan skips the rest of that partition on that device: its shards count as lacking, and
 * rewriting them repairs the index too. A device that cannot be reached ends the scan.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { parsePartitionId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { PARTITIONS, SHARDS_MAX } from "@hayloft/base/limits.js"
import { after, allSoon, lastly, recover, type Soon } from "@hayloft/base/soon.js"
import { needleIdOfKey, needleKeysOfPartition, NEEDLE_KEY_BYTES } from "../format/needles/needle.js"
import type { IndexedNeedle, ShardShape } from "../volume/contract.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { isLoss } from "./holders.js"
import type { ShardStore } from "./shard-store.js"
import type { BlockGroup, HeldShard, ShardScanPage } from "./shard-scan-core.js"

/** A device whose index a scan reads. */
interface IndexedDevice {
  readonly id: DeviceId
  readonly volumes: Pick<ShardStore, "indexed">
}

const NOTHING: readonly HeldShard[] = []
const NO_NEEDLES: Iterable<IndexedNeedle> = []
/** A needle's key without its slot. */
const STEM_BYTES = NEEDLE_KEY_BYTES - 1

/** Whole blocks in the order of their ids, until about this many needles were read. */
export function shardScanPage(
  devices: Iterable<IndexedDevice>,
  range: KeyRange,
  needlesMax: number,
): Soon<ShardScanPage> {
  // The most that one device can contribute to a page, with the last block and the next key.
  const needlesMin = needlesMax + SHARDS_MAX + 1
  const cursors = Array.from(devices, device => new IndexCursor(device, range, needlesMin))
  const walk = new Walk(cursors, needlesMax)
  const begin = (): Soon<ShardScanPage> => {
    const opened = allSoon(cursors, cursor => cursor.open())
    return opened instanceof Promise ? opened.then(() => walk.resume()) : walk.go()
  }
  return lastly(begin, () => {
    for (const cursor of cursors) cursor.close()
  })
}

/** The device, which adds itself to `silent` instead of ending the scan if it cannot be reached. */
export const orSilent = (device: IndexedDevice, silent: Set<DeviceId>): IndexedDevice => ({
  id: device.id,
  volumes: {
    indexed: (range, needlesMin) =>
      silent.has(device.id)
        ? NO_NEEDLES
        : recover(
            () => device.volumes.indexed(range, needlesMin),
            error => {
              if (!isLoss(error) || isFailure(error, "corruptRow")) throw error
              silent.add(device.id)
              return NO_NEEDLES
            },
          ),
  },
})

interface OpenGroup {
  readonly stem: string
  shape: ShardShape | undefined
  readonly shards: HeldShard[]
  damaged: readonly HeldShard[]
}

/** A page in progress. */
class Walk {
  private readonly groups: BlockGroup[] = []
  private needles = 0
  private group: OpenGroup | undefined

  constructor(
    private readonly cursors: readonly IndexCursor[],
    private readonly needlesMax: number,
  ) {}

  /** Continues to the end of the page after a wait for a device: the other indexes may have changed. */
  resume(): Soon<ShardScanPage> {
    return after(
      allSoon(this.cursors, cursor => cursor.refresh()),
      () => this.go(),
    )
  }

  /** Continues to the end of the page. */
  go(): Soon<ShardScanPage> {
    for (let first = lowest(this.cursors); first?.head; first = lowest(this.cursors)) {
      const { key, bodyBytes, shape, isSuspect } = first.head
      if (this.group === undefined || !key.startsWith(this.group.stem)) {
        this.close()
        if (this.needles >= this.needlesMax) return { groups: this.groups, next: key }
        this.group = { stem: key.slice(0, STEM_BYTES), shape: undefined, shards: [], damaged: NOTHING }
      }
      this.group.shape ??= shape
      const shard = { slot: key.charCodeAt(STEM_BYTES), deviceId: first.device.id, bodyBytes }
      if (isSuspect) this.group.damaged = [...this.group.damaged, shard]
      else this.group.shards.push(shard)
      this.needles += 1
      const advanced = first.advance()
      if (advanced instanceof Promise) return advanced.then(() => this.resume())
    }
    this.close()
    return { groups: this.groups, next: undefined }
  }

  private close(): void {
    if (this.group) this.groups.push(closed(this.group))
    this.group = undefined
  }
}

function closed({ stem, shape, shards, damaged }: OpenGroup): BlockGroup {
  const { partition, uploadId, part, block, generation } = needleIdOfKey(rowKeyOf(`${stem}\x00`))
  return { partition, uploadId, part, block, generation, shape, shards, damaged }
}

function lowest(cursors: readonly IndexCursor[]): IndexCursor | undefined {
  let lowest: IndexCursor | undefined
  for (const cursor of cursors) {
    if (cursor.head && (lowest?.head === undefined || cursor.head.key < lowest.head.key)) lowest = cursor
  }
  return lowest
}

/** The position of the scan in one device's index. */
class IndexCursor {
  head: IndexedNeedle | undefined
  /** The key of `head`, or where to open the index. */
  private from: RowKey
  private rows: Iterator<IndexedNeedle> | undefined
  /** The rows come straight from a local index, and are valid for this turn only. */
  private isNear = false

  constructor(
    readonly device: IndexedDevice,
    private readonly range: KeyRange,
    private readonly needlesMin: number,
  ) {
    this.from = range.start
  }

  /** Opens at the first readable needle from `from` on. */
  open(): Soon<void> {
    for (;;) {
      const isOpen = this.tryOpen()
      if (isOpen instanceof Promise) return isOpen.then(is => (is ? undefined : this.open()))
      if (isOpen) return
    }
  }

  /** Reopens at the current key if the rows come straight from a local index. */
  refresh(): Soon<void> {
    if (this.isNear && this.head) return this.open()
  }

  advance(): Soon<void> {
    try {
      this.read()
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      this.passOver(partitionOfKey(this.from))
      return this.open()
    }
  }

  close(): void {
    this.rows?.return?.()
    this.rows = undefined
  }

  /** Returns false if the index was damaged there; then `from` is behind the damage. */
  private tryOpen(): Soon<boolean> {
    this.close()
    this.head = undefined
    const { from: start, needlesMin } = this
    const { end } = this.range
    if (start >= end) return true
    return recover(
      () => {
        const found = this.device.volumes.indexed({ start, end }, needlesMin)
        this.isNear = !(found instanceof Promise)
        return after(found, rows => {
          this.rows = rows[Symbol.iterator]()
          this.read()
          return true
        })
      },
      error => {
        if (!isFailure(error, "corruptRow")) throw error
        return after(this.damagedPartition(), damaged => {
          this.passOver(damaged)
          return false
        })
      },
    )
  }

  private read(): void {
    const next = this.rows?.next()
    this.head = next === undefined || next.done === true ? undefined : next.value
    if (this.head) this.from = this.head.key
  }

  /**
   * The partition of the damage that keeps the first needle from being found. All before it are empty, which may be most of
   * the index: it is searched for by halves.
   */
  private damagedPartition(): Soon<number> {
    const [first, last] = [partitionOfKey(this.from), PARTITIONS - 1]
    return after(this.isReadableUpTo(first), isFirstReadable => {
      if (!isFirstReadable) return first
      // A damage that is not found any more hides no more than one partition.
      return after(this.isReadableUpTo(last), is => (is ? first : this.damagedBetween(first + 1, last)))
    })
  }

  private damagedBetween(first: number, last: number): Soon<number> {
    if (first >= last) return first
    const middle = Math.floor((first + last) / 2)
    return after(this.isReadableUpTo(middle), is =>
      is ? this.damagedBetween(middle + 1, last) : this.damagedBetween(first, middle),
    )
  }

  private isReadableUpTo(partition: number): Soon<boolean> {
    const { end } = needleKeysOfPartition(parsePartitionId(partition))
    const range = { start: this.from, end: end < this.range.end ? end : this.range.end }
    return recover(
      () =>
        after(this.device.volumes.indexed(range, 1), rows => {
          const opened = rows[Symbol.iterator]()
          opened.next()
          opened.return?.()
          return true
        }),
      error => {
        if (!isFailure(error, "corruptRow")) throw error
        return false
      },
    )
  }

  private passOver(damaged: number): void {
    const next = damaged + 1
    this.from = next < PARTITIONS ? needleKeysOfPartition(parsePartitionId(next)).start : this.range.end
  }
}

const partitionOfKey = (key: string): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)
