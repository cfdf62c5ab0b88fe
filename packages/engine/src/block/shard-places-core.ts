/** Says where the shards of a block are, slot by slot, compared with where layouts put them. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, type Policy } from "@hayloft/base/policy.js"
import type { Layout } from "../placement/index.js"
import { assignedDeviceOf } from "./layouts.js"
import type { BlockGroup } from "./shard-scan-core.js"

/**
 * The reasons why a device has a copy, the best one first. `assigned`: the present layout puts it there. `former`: the previous
 * layout did, and it has not moved yet. `placed`: the block was written while devices were down, and its row names the
 * device. `elsewhere`: no layout in use leads there.
 */
const PLACE_REASONS = ["assigned", "former", "placed", "elsewhere"] as const
export type PlaceReason = (typeof PLACE_REASONS)[number]

interface CopyPlace {
  readonly deviceId: DeviceId
  readonly reason: PlaceReason
  /** Its bytes were found bad; it counts as missing. */
  readonly isDamaged: boolean
}

export interface SlotPlaces {
  readonly slot: number
  /** The assigned device is undefined if the layout is narrower than the block's policy. */
  readonly assigned: DeviceId | undefined
  readonly copies: readonly CopyPlace[]
  /** The reason of the best whole copy. */
  readonly found: PlaceReason | "missing"
}

interface LayoutPair {
  readonly current: Layout
  readonly previous: Layout | undefined
}

/** `placedSlots`: as the block's row names them, if it is known. */
export function slotPlaces(
  { partition, shards, damaged }: Pick<BlockGroup, "partition" | "shards" | "damaged">,
  policy: Policy,
  { current, previous }: LayoutPair,
  placedSlots: readonly (readonly [slot: number, deviceId: DeviceId])[] = [],
): readonly SlotPlaces[] {
  return Array.from({ length: shardCount(policy) }, (_, slot) => {
    const assigned = assignedDeviceOf(current, partition, slot)
    const former = previous && assignedDeviceOf(previous, partition, slot)
    const reasonOf = (deviceId: DeviceId): PlaceReason => {
      if (deviceId === assigned) return "assigned"
      if (deviceId === former) return "former"
      return placedSlots.some(([placed, id]) => placed === slot && id === deviceId) ? "placed" : "elsewhere"
    }
    const placeOf = (isDamaged: boolean) => (copy: { readonly slot: number; readonly deviceId: DeviceId }) =>
      copy.slot === slot ? [{ deviceId: copy.deviceId, reason: reasonOf(copy.deviceId), isDamaged }] : []
    const copies = [...shards.flatMap(placeOf(false)), ...damaged.flatMap(placeOf(true))]
    const found = PLACE_REASONS.find(reason => copies.some(copy => copy.reason === reason && !copy.isDamaged))
    return { slot, assigned, copies, found: found ?? "missing" }
  })
}
