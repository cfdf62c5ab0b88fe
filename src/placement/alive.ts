/**
 * How many slots of each partition lie on devices that count: what every judgement of risk starts from.
 * Where two layouts hold at once, the worse of the two for each partition is the safe answer.
 */
import type { DeviceId, PartitionId } from "../base/ids.js"
import { parsePartitionId } from "../base/ids.js"
import type { Layout } from "./layout.js"

export interface PartitionRisk {
  readonly partition: PartitionId
  readonly alive: number
}

/** Partition by partition: of its first `slots` slots (those that a policy of so many shards uses), how many count. */
export function aliveSlots(layout: Layout, counting: ReadonlySet<DeviceId>, slots = layout.width): Uint8Array {
  const { table, width } = layout
  const counts = Uint8Array.from(layout.devices, id => (counting.has(id) ? 1 : 0))
  const alive = new Uint8Array(table.length / width)
  for (let partition = 0; partition < alive.length; partition += 1) {
    const start = partition * width
    let sum = 0
    for (let at = start; at < start + slots; at += 1) sum += counts[table[at] ?? 0] ?? 0
    alive[partition] = sum
  }
  return alive
}

/** The lower of the two for each partition. */
export function worseOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((alive, partition) => Math.min(alive, b[partition] ?? 0))
}

/** Partitions by the number of their slots that are alive: the member at i tells how many have i; up to `slots`. */
export function aliveHistogram(alive: Uint8Array, slots: number): readonly number[] {
  const partitions = new Uint32Array(slots + 1)
  for (const count of alive) partitions[count] = (partitions[count] ?? 0) + 1
  return Array.from(partitions)
}

/** The fewest alive slots that any partition has. */
export const fewestAlive = (alive: Uint8Array): number => alive.reduce((least, count) => Math.min(least, count), 0xff)

/** The partitions with the fewest alive slots first, then by number; at most `limit`, none with `whole` slots or more. */
export function riskiestFirst(alive: Uint8Array, whole: number, limit: number): readonly PartitionRisk[] {
  const found: PartitionRisk[] = []
  for (let count = fewestAlive(alive); count < whole && found.length < limit; count += 1) {
    for (let at = alive.indexOf(count); at >= 0 && found.length < limit; at = alive.indexOf(count, at + 1)) {
      found.push({ partition: parsePartitionId(at), alive: count })
    }
  }
  return found
}
