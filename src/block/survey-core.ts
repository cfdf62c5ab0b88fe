/**
 * Survey: what devices hold, block by block, from their indexes alone. Pure.
 *
 * The indexes of all devices are walked together in the order of their keys, so that a store's empty
 * partitions cost nothing, and every block's shards meet wherever they lie.
 *
 * Where an index is damaged the walk passes over the rest of that partition on that device: its shards
 * count as lacking, and writing them again mends the index too.
 */
import { isFailure } from "../base/failures.js"
import type { DeviceId, PartitionId, RowKey, UploadId } from "../base/ids.js"
import { parsePartitionId, rowKeyOf } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { PARTITIONS } from "../base/limits.js"
import { needleIdOfKey, needleKeysOfPartition, NEEDLE_KEY_BYTES, type NeedleId } from "../format/needle.js"
import { shardCount, shardsNeeded, type Policy } from "../base/policy.js"
import type { Layout } from "../placement/index.js"
import type { IndexedNeedle, ShardShape } from "../volume/contract.js"
import type { ShardDevice } from "./contract.js"
import { homeOf } from "./layouts.js"

/** One copy of one shard. */
export interface HeldShard {
  readonly slot: number
  readonly deviceId: DeviceId
  readonly bodyBytes: number
}

/** Everything that devices hold of one block in one generation, whether or not any row names it. */
export interface BlockGroup {
  readonly partition: PartitionId
  readonly uploadId: UploadId
  readonly part: number
  readonly block: number
  readonly generation: number
  /** Undefined where no index tells it: a needle's header does. */
  readonly shape: ShardShape | undefined
  /** By slot; a slot may be there several times, on different devices. */
  readonly shards: readonly HeldShard[]
  /** Copies whose bytes were found bad: they count as missing, and go where they are not wanted. */
  readonly damaged: readonly HeldShard[]
}

export interface SurveyPage {
  readonly groups: readonly BlockGroup[]
  /** Where to go on; undefined: that was all. */
  readonly next: RowKey | undefined
}

const NOTHING: readonly HeldShard[] = []
/** A needle's key without its slot. */
const STEM_BYTES = NEEDLE_KEY_BYTES - 1

export const needleIdOf = ({ partition, uploadId, part, block, generation }: BlockGroup, slot: number): NeedleId => {
  return { partition, uploadId, part, block, generation, slot }
}

/** Blocks in the order of their ids, whole, until about so many needles were met. To be read within one turn. */
export function surveyPage(devices: Iterable<ShardDevice>, range: KeyRange, needlesMax: number): SurveyPage {
  const cursors = Array.from(devices, device => new IndexCursor(device, range)).filter(({ head }) => head)
  const groups: BlockGroup[] = []
  let needles = 0
  let open: OpenGroup | undefined
  try {
    for (let first = lowest(cursors); first?.head; first = lowest(cursors)) {
      const { key } = first.head
      if (open === undefined || !key.startsWith(open.stem)) {
        if (open) groups.push(closed(open))
        if (needles >= needlesMax) return { groups, next: key }
        open = { stem: key.slice(0, STEM_BYTES), shape: undefined, shards: [], damaged: NOTHING }
      }
      const { bodyBytes, shape, isDistrusted } = first.head
      open.shape ??= shape
      const shard = { slot: key.charCodeAt(STEM_BYTES), deviceId: first.device.id, bodyBytes }
      if (isDistrusted) open.damaged = [...open.damaged, shard]
      else open.shards.push(shard)
      needles += 1
      first.advance()
    }
  } finally {
    for (const cursor of cursors) cursor.close()
  }
  if (open) groups.push(closed(open))
  return { groups, next: undefined }
}

interface OpenGroup {
  readonly stem: string
  shape: ShardShape | undefined
  readonly shards: HeldShard[]
  damaged: readonly HeldShard[]
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

/** Where the walk through one device's index stands. */
class IndexCursor {
  head: IndexedNeedle | undefined
  private rows: Iterator<IndexedNeedle>
  /** The partition that is being read. */
  private at: number

  constructor(
    readonly device: ShardDevice,
    private readonly range: KeyRange,
  ) {
    this.at = partitionOfKey(range.start)
    this.rows = this.open(range)
    this.advance()
  }

  advance(): void {
    for (;;) {
      try {
        const next = this.rows.next()
        this.head = next.done === true ? undefined : next.value
        if (this.head) this.at = partitionOfKey(this.head.key)
        return
      } catch (error) {
        if (!isFailure(error, "corruptRow")) throw error
        this.rows = this.passOver()
      }
    }
  }

  close(): void {
    this.rows.return?.()
  }

  private open(range: KeyRange): Iterator<IndexedNeedle> {
    return this.device.volumes.indexed(range)[Symbol.iterator]()
  }

  private passOver(): Iterator<IndexedNeedle> {
    this.at += 1
    const start = this.at < PARTITIONS ? needleKeysOfPartition(parsePartitionId(this.at)).start : this.range.end
    return start < this.range.end ? this.open({ start, end: this.range.end }) : [][Symbol.iterator]()
  }
}

const partitionOfKey = (key: string): number => (key.charCodeAt(0) << 8) | (key.length > 1 ? key.charCodeAt(1) : 0)

/** Of the whole index. */
export const ALL_NEEDLES: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(NEEDLE_KEY_BYTES + 1)) }

/** How a block lies, beside how a layout would have it. */
export interface Standing {
  /** Slots of which a copy is somewhere, beyond those that a read needs: below 0 it cannot be read. */
  readonly slack: number
  /** Devices that should have a shard and do not. */
  readonly lacking: readonly DeviceId[]
  /** Copies that the layout does not want where they are. */
  readonly strays: number
  /** Devices with a copy, each once. */
  readonly holders: readonly DeviceId[]
}

const NOBODY: readonly DeviceId[] = []

export function standingOf({ partition, shards }: BlockGroup, policy: Policy, layout: Layout): Standing {
  const n = shardCount(policy)
  let lacking = NOBODY
  let atHome = 0
  let distinct = 0
  for (let slot = 0; slot < n; slot += 1) {
    const home = homeOf(layout, partition, slot)
    let isHome = false
    let isThere = false
    for (const shard of shards) {
      if (shard.slot !== slot) continue
      isThere = true
      isHome ||= shard.deviceId === home
    }
    if (isThere) distinct += 1
    if (isHome) atHome += 1
    else if (home !== undefined) lacking = [...lacking, home]
  }
  const holders = new Set(shards.map(({ deviceId }) => deviceId))
  return { slack: distinct - shardsNeeded(policy), lacking, strays: shards.length - atHome, holders: [...holders] }
}
