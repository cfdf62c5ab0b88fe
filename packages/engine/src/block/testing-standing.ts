/** The standing of a block that a shard scan reports, compared with a layout. */
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { Layout } from "../placement/index.js"
import { assignedDeviceOf } from "./layouts.js"
import type { BlockGroup } from "./shard-scan-core.js"

/** The places of a block's shards, compared with where a layout puts them. */
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
