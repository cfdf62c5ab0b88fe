/** Measures of a layout, for tests and scenarios: the capacity at best, and the partitions at risk. */
import { parsePartitionId, type PartitionId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import { fewestAlive } from "./alive.js"

interface PartitionRisk {
  readonly partition: PartitionId
  readonly alive: number
}

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

/** Partitions by the number of their alive slots: element i is the number of partitions with i; up to `slots`. */
export function aliveHistogram(alive: Uint8Array, slots: number): readonly number[] {
  const partitions = new Uint32Array(slots + 1)
  for (const count of alive) partitions[count] = (partitions[count] ?? 0) + 1
  return Array.from(partitions)
}

/** Partitions with fewer than `whole` alive slots, the fewest first, then by number; at most `limit`. */
export function riskiestFirst(alive: Uint8Array, whole: number, limit: number): readonly PartitionRisk[] {
  const found: PartitionRisk[] = []
  for (let count = fewestAlive(alive); count < whole && found.length < limit; count += 1) {
    for (let at = alive.indexOf(count); at >= 0 && found.length < limit; at = alive.indexOf(count, at + 1)) {
      found.push({ partition: parsePartitionId(at), alive: count })
    }
  }
  return found
}
