/**
 * Holders: the devices on which a shard may be stored, most likely first, and the errors that mean that a device cannot
 * deliver it.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { after, allSoon, recover, type Soon } from "@hayloft/base/soon.js"
import type { ExtentException } from "../format/needles/extent.js"
import type { NeedleId } from "../format/needles/needle.js"
import type { Devices } from "./contract.js"
import { assignedDeviceOf, type Layouts } from "./layouts.js"

/** The device in the block's reference, then the slot's device in the current layout, then in the previous one. */
export function holdersOf(
  layouts: Layouts,
  { partition, slot }: Pick<NeedleId, "partition" | "slot">,
  exception: ExtentException | undefined,
): readonly DeviceId[] {
  const { current, previous } = layouts
  const placed = exception?.placedSlots.find(([placedSlot]) => placedSlot === slot)?.[1]
  const assignedDevice = assignedDeviceOf(current, partition, slot)
  const before = previous && assignedDeviceOf(previous, partition, slot)
  if (placed === undefined && (before === undefined || before === assignedDevice))
    return assignedDevice === undefined ? [] : [assignedDevice]
  return [...new Set([placed, assignedDevice, before])].filter(id => id !== undefined)
}

/** Returns true if a device in use has the shard, as far as the device can tell. */
export function hasShard(devices: Devices, deviceId: DeviceId, id: NeedleId): Soon<boolean> {
  return recover(
    () => devices.get(deviceId)?.volumes.has(id) ?? false,
    error => {
      if (!isLoss(error)) throw error
      return false
    },
  )
}

/** Every other device that has the shard: finds shards to which no layout leads any more. */
export function strayHolders(devices: Devices, id: NeedleId, known: readonly DeviceId[]): Soon<readonly DeviceId[]> {
  const others = [...devices.keys()].filter(deviceId => !known.includes(deviceId))
  const answers = allSoon(others, deviceId => hasShard(devices, deviceId, id))
  return after(answers, has => others.filter((_, i) => has[i]))
}

/** The shard is lost, damaged, or out of reach: other shards are needed. */
export const isLoss = (error: unknown): boolean =>
  isFailure(error, "noSuchNeedle", "corruptNeedle", "corruptRow", "deviceFailed")

/** The device has damaged bytes instead of the shard. */
export const isDamage = (error: unknown): boolean => isFailure(error, "corruptNeedle", "corruptRow")
