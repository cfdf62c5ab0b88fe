/** A block as a shard scan (`shard-scan.ts`) reports it, and its standing compared with a layout. Pure. */
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/key-range.js"
import { NEEDLE_KEY_BYTES, type NeedleId } from "../format/needle.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { Layout } from "../placement/index.js"
import type { ShardShape } from "../volume/contract.js"
import { assignedDeviceOf } from "./layouts.js"

/** One copy of one shard. */
export interface HeldShard {
  readonly slot: number
  readonly deviceId: DeviceId
  readonly bodyBytes: number
}

/** All shards of one block in one generation on all devices, whether or not any row references it. */
export interface BlockGroup extends Omit<NeedleId, "slot"> {
  /** The shape is undefined if no index contains it; a needle's header does. */
  readonly shape: ShardShape | undefined
  /** In slot order; a slot may occur several times, on different devices. */
  readonly shards: readonly HeldShard[]
  /** Damaged copies: they count as missing, and are removed from devices that should not have them. */
  readonly damaged: readonly HeldShard[]
}

export interface ShardScanPage {
  readonly groups: readonly BlockGroup[]
  /** Where to continue; undefined at the end. */
  readonly next: RowKey | undefined
}

export const needleIdOf = ({ partition, uploadId, part, block, generation }: BlockGroup, slot: number): NeedleId => {
  return { partition, uploadId, part, block, generation, slot }
}

/** The whole index. */
export const ALL_NEEDLES: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(NEEDLE_KEY_BYTES + 1)) }

/** Where a block's shards are, compared with where a layout puts them. */
interface Standing {
  /** Slots with a copy somewhere, minus those that a read needs: below 0 the block cannot be read. */
  readonly spareShards: number
  /** Devices that should have a shard and do not. */
  readonly lacking: readonly DeviceId[]
  /** Copies on devices where the layout does not put them. */
  readonly strays: number
  /** Devices with a copy, each once. */
  readonly holders: readonly DeviceId[]
}

const NO_DEVICES: readonly DeviceId[] = []

export function standingOf({ partition, shards }: BlockGroup, policy: Policy, layout: Layout): Standing {
  const n = shardCount(policy)
  let lacking = NO_DEVICES
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
