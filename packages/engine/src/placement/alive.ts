/**
 * How many slots of each partition are on devices that count: the base of every risk evaluation.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layout } from "./layout.js"

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

/** The fewest alive slots that any partition has. */
export const fewestAlive = (alive: Uint8Array): number => alive.reduce((least, count) => Math.min(least, count), 0xff)
