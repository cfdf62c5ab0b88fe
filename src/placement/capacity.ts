/**
 * Capacity: how many bytes of objects fit before the first device is full. Blocks spread evenly over
 * the partitions, so a device fills by the slots that it holds. Headers, padding and the reserve are
 * the caller's to subtract.
 */
import { assert } from "../base/assert.js"
import type { DeviceId } from "../base/ids.js"
import { defaultPolicy, shardCount, shardsNeeded, type Policy } from "../base/policy.js"
import type { Layout } from "./layout.js"
import { slotsPerDevice } from "./layout.js"

/**
 * Bytes of objects under the policy, which may be narrower than the layout; of one that is wider only the
 * shards that have a slot are written. Devices that `capacities` (bytes) does not name are taken for as
 * large as need be; Infinity if it names none that holds a slot.
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

/** With no slot to spare for a policy, blocks are written under that of so few devices. */
const narrowest = (policy: Policy, width: number): Policy =>
  shardCount(policy) <= width ? policy : defaultPolicy(width)

/**
 * The most that any placement of shards on distinct devices allows; 0 with too few devices. In units
 * of one shard per block: with U blocks no device can use more than U, and n·U must fit.
 */
export function idealUsableBytes(capacities: readonly number[], policy: Policy): number {
  const shards = shardCount(policy)
  if (capacities.length < shards) return 0
  const largestFirst = [...capacities].sort((a, b) => b - a)
  const blocks = Array.from({ length: shards }, (_, full) => {
    const others = largestFirst.slice(full).reduce((sum, capacity) => sum + capacity, 0)
    return others / (shards - full)
  })
  return Math.floor(Math.min(...blocks) * shardsNeeded(policy))
}

/**
 * Weights for disks of these capacities (bytes, above 0): in proportion, the smallest has 1. What a
 * disk is too large for, since no partition uses it twice, the layout hands to the others.
 */
export function weightsFor(capacities: readonly number[]): readonly number[] {
  const smallest = Math.min(...capacities)
  assert(smallest > 0, "disks have a capacity")
  return capacities.map(capacity => Math.round((100 * capacity) / smallest) / 100)
}
