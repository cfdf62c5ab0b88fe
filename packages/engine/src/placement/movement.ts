/**
 * Movement: what a change of layout costs the devices, in slots. A slot counts as moved if its
 * device differs. Callers multiply slots by their bytes, and divide by a rate.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layout } from "./layout.js"

interface DeviceMovement {
  /** Slots that the device gets, moved or new. */
  readonly slotsIn: number
  /** Slots that the device no longer has, moved or dropped. */
  readonly offlineSlots: number
}

interface Movement {
  /** Slots that both layouts have, on another device. */
  readonly moved: number
  /** Slots that only the new, wider layout has. */
  readonly added: number
  /** Slots that only the old, wider layout had. */
  readonly dropped: number
  /** Moved slots as a fraction of those that both layouts have. */
  readonly share: number
  /** Every device of either layout. */
  readonly devices: ReadonlyMap<DeviceId, DeviceMovement>
}

/** Counts the first `slots` of each partition: those that a policy of that many shards uses. */
export function movement(before: Layout, after: Layout, slots = Math.max(before.width, after.width)): Movement {
  const ids = [...new Set([...before.devices, ...after.devices])]
  const indexes = new Map(ids.map((id, index) => [id, index]))
  const [from, to] = [before, after].map(({ devices }) => devices.map(id => indexes.get(id)))
  const slotsIn = new Int32Array(ids.length)
  const offlineSlots = new Int32Array(ids.length)
  const common = Math.min(before.width, after.width, slots)
  const partitions = before.table.length / before.width
  let moved = 0
  for (let partition = 0; partition < partitions; partition += 1) {
    for (let slot = 0; slot < slots; slot += 1) {
      const old = slot < before.width ? from?.[before.table[partition * before.width + slot] ?? 0] : undefined
      const now = slot < after.width ? to?.[after.table[partition * after.width + slot] ?? 0] : undefined
      if (old === now) continue
      if (slot < common) moved += 1
      if (old !== undefined) offlineSlots[old] = (offlineSlots[old] ?? 0) + 1
      if (now !== undefined) slotsIn[now] = (slotsIn[now] ?? 0) + 1
    }
  }
  return {
    moved,
    added: partitions * (Math.min(after.width, slots) - common),
    dropped: partitions * (Math.min(before.width, slots) - common),
    share: moved / (partitions * common),
    devices: new Map(ids.map((id, i) => [id, { slotsIn: slotsIn[i] ?? 0, offlineSlots: offlineSlots[i] ?? 0 }])),
  }
}
