/** Determines whether a process reaches enough devices of its store. Pure. */
import { shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { Devices, ShardDevice } from "@hayloft/engine/block/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"

/**
 * Returns undefined if the devices that respond are enough for a block of the store's policy, and of the policies of
 * buckets.
 */
export function outOfReach(
  { policy, devices }: ControlRecord,
  others: readonly Policy[],
  shards: Devices,
): string | undefined {
  // One that is full can be read.
  const responds = (shard: ShardDevice | undefined): boolean => shard?.isWritable === true || shard?.isFull === true
  const responding = devices.filter(({ id }) => responds(shards.get(id))).length
  const needed = Math.min(Math.max(...[policy, ...others].map(shardsNeeded)), devices.length)
  return responding >= needed ? undefined : `only ${responding} of ${devices.length} devices respond to this node`
}
