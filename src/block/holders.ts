/**
 * Holders: on which devices a shard may lie, most likely first, and which errors say that one of them
 * does not have it for us.
 */
import { isFailure } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { after, allSoon, recover, type Soon } from "../base/soon.js"
import type { ExtentException } from "../format/extent.js"
import type { NeedleId } from "../format/needle.js"
import type { Devices } from "./contract.js"
import { assignedDeviceOf, type Layouts } from "./layouts.js"

/** Where the block's reference says, else where the layout has the slot, else where the one before had it. */
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

/** Whether a device that takes part has the shard, as far as it can tell. */
export function hasShard(devices: Devices, deviceId: DeviceId, id: NeedleId): Soon<boolean> {
  return recover(
    () => devices.get(deviceId)?.volumes.has(id) ?? false,
    error => {
      if (!isLoss(error)) throw error
      return false
    },
  )
}

/** Every other device that has it: where a shard is that no layout leads to any more. */
export function strayHolders(devices: Devices, id: NeedleId, known: readonly DeviceId[]): Soon<readonly DeviceId[]> {
  const others = [...devices.keys()].filter(deviceId => !known.includes(deviceId))
  const answers = allSoon(others, deviceId => hasShard(devices, deviceId, id))
  return after(answers, has => others.filter((_, i) => has[i]))
}

/** The shard is lost, damaged, or out of reach: others have to do. */
export const isLoss = (error: unknown): boolean =>
  isFailure(error, "noSuchNeedle", "corruptNeedle", "corruptRow", "deviceFailed")

/** What the device has instead of the shard is damaged. */
export const isDamage = (error: unknown): boolean => isFailure(error, "corruptNeedle", "corruptRow")
