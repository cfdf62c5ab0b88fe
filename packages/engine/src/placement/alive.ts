/**
 * How many slots of each partition are on devices that count: the base of every risk evaluation.
 */
import type { DeviceId, PartitionId } from "@hayloft/base/ids.js"
import { parsePartitionId } from "@hayloft/base/ids.js"
import type { Layout } from "./layout.js"

interface PartitionRisk {
  readonly partition: PartitionId
  readonly alive: number
}

/**
 * By partition: how many of its first `slots` slots (those that a policy of that many shards uses)
 * are alive. While shards move from `previous`, either holder may have a slot of both layouts, so it is
 * alive only if both count.
 */
export function aliveSlots(
  layout: Layout,
  counting: ReadonlySet<DeviceId>,
  slots = layout.width,
  previous: Layout | undefined = undefined,
): Uint8Array {
  const alive = new Uint8Array(layout.table.length / layout.width)
  const counts = countsOf(layout, counting)
  const countsBefore = previous && countsOf(previous, counting)
  for (let partition = 0; partition < alive.length; partition += 1) {
    let sum = 0
    for (let slot = 0; slot < Math.min(slots, layout.width); slot += 1) {
      const now = counts[layout.table[partition * layout.width + slot] ?? 0] ?? 0
      const isShared = previous !== undefined && slot < previous.width
      sum += isShared ? now & (countsBefore?.[previous.table[partition * previous.width + slot] ?? 0] ?? 0) : now
    }
    alive[partition] = sum
  }
  return alive
}

const countsOf = (layout: Layout, counting: ReadonlySet<DeviceId>): Uint8Array =>
  Uint8Array.from(layout.devices, id => (counting.has(id) ? 1 : 0))

/** Partitions by the number of their alive slots: element i is the number of partitions with i; up to `slots`. */
export function aliveHistogram(alive: Uint8Array, slots: number): readonly number[] {
  const partitions = new Uint32Array(slots + 1)
  for (const count of alive) partitions[count] = (partitions[count] ?? 0) + 1
  return Array.from(partitions)
}

/** The fewest alive slots that any partition has. */
export const fewestAlive = (alive: Uint8Array): number => alive.reduce((least, count) => Math.min(least, count), 0xff)

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
