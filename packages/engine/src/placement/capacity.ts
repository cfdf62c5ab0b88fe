/**
 * Capacity: how many bytes of objects fit before the first device is full. Blocks spread evenly over
 * the partitions, so a device fills in proportion to its slots. The caller subtracts headers, padding and
 * the reserve.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { defaultPolicy, shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { Layout } from "./layout.js"
import { slotsPerDevice } from "./layout.js"

/**
 * Bytes of objects under the policy, which may be narrower than the layout; of a wider one only the
 * shards that have a slot are written. A device without an entry in `capacities` (bytes) does not limit
 * the result; Infinity if no device with a slot has an entry.
 */
export function usableBytes(layout: Layout, capacities: ReadonlyMap<DeviceId, number>, policy: Policy): number {
  const partitions = layout.table.length / layout.width
  const written = layout.width > shardsNeeded(policy) ? policy : narrowest(policy, layout.width)
  const held = slotsPerDevice(layout, shardCount(written))
  const fits = layout.devices.map((id, i) => {
    const [capacity, slots] = [capacities.get(id), held[i] ?? 0]
    return capacity === undefined || slots === 0 ? Infinity : (capacity * partitions * shardsNeeded(written)) / slots
  })
  return Math.floor(Math.min(...fits))
}

/** If the layout has too few slots for a policy, blocks are written under the default policy for that width. */
const narrowest = (policy: Policy, width: number): Policy =>
  shardCount(policy) <= width ? policy : defaultPolicy(width)

/**
 * Weights for disks of these capacities (bytes, above 0): proportional, the smallest has 1. No partition
 * uses a disk twice, so the layout gives the excess of a very large disk to the others.
 */
export function weightsFor(capacities: readonly number[]): readonly number[] {
  const smallest = Math.min(...capacities)
  assert(smallest > 0, "disks have a capacity")
  return capacities.map(capacity => Math.round((100 * capacity) / smallest) / 100)
}
