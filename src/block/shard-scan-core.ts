/** What a survey (`shardScan.ts`) tells of a block, and how the block stands beside a layout. Pure. */
import type { DeviceId, PartitionId, RowKey, UploadId } from "../base/ids.js"
import { rowKeyOf } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { NEEDLE_KEY_BYTES, type NeedleId } from "../format/needle.js"
import { shardCount, shardsNeeded, type Policy } from "../base/policy.js"
import type { Layout } from "../placement/index.js"
import type { ShardShape } from "../volume/contract.js"
import { assignedDeviceOf } from "./layouts.js"

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

export interface ShardScanPage {
  readonly groups: readonly BlockGroup[]
  /** Where to go on; undefined: that was all. */
  readonly next: RowKey | undefined
}

export const needleIdOf = ({ partition, uploadId, part, block, generation }: BlockGroup, slot: number): NeedleId => {
  return { partition, uploadId, part, block, generation, slot }
}

/** Of the whole index. */
export const ALL_NEEDLES: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(NEEDLE_KEY_BYTES + 1)) }

/** How a block lies, beside how a layout would have it. */
export interface Standing {
  /** Slots of which a copy is somewhere, beyond those that a read needs: below 0 it cannot be read. */
  readonly spareShards: number
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
  let onAssigned = 0
  let distinct = 0
  for (let slot = 0; slot < n; slot += 1) {
    const assignedDevice = assignedDeviceOf(layout, partition, slot)
    let isAssigned = false
    let isThere = false
    for (const shard of shards) {
      if (shard.slot !== slot) continue
      isThere = true
      isAssigned ||= shard.deviceId === assignedDevice
    }
    if (isThere) distinct += 1
    if (isAssigned) onAssigned += 1
    else if (assignedDevice !== undefined) lacking = [...lacking, assignedDevice]
  }
  const holders = new Set(shards.map(({ deviceId }) => deviceId))
  return {
    spareShards: distinct - shardsNeeded(policy),
    lacking,
    strays: shards.length - onAssigned,
    holders: [...holders],
  }
}
