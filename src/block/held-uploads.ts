/**
 * Held uploads: what devices hold of a partition, by upload, whether or not any row names it.
 */
import { fail, isFailure } from "../base/failures.js"
import type { DeviceId, PartitionId, UploadId } from "../base/ids.js"
import { mapBounded } from "../life/index.js"
import type { NeedleId, NeedleOwner } from "../volume/contract.js"
import type { Devices } from "./block-writer.js"
import type { HeldUpload } from "./contract.js"
import { BLOCK_LIMITS } from "./limits.js"

export function heldUploads(devices: Devices, partition: PartitionId): readonly HeldUpload[] {
  const byUpload = new Map<UploadId, (readonly [DeviceId, NeedleId])[]>()
  for (const { id: deviceId, volumes } of devices.values()) {
    for (const id of volumes.idsOfPartition(partition)) {
      const needles = byUpload.get(id.uploadId)
      if (needles) needles.push([deviceId, id])
      else byUpload.set(id.uploadId, [[deviceId, id]])
    }
  }
  return [...byUpload].map(([uploadId, needles]) => ({ uploadId, needles }))
}

/** From the first needle whose header can be read. */
export async function ownerOfHeld(devices: Devices, { uploadId, needles }: HeldUpload): Promise<NeedleOwner> {
  for (const [deviceId, id] of needles) {
    try {
      const owner = await devices.get(deviceId)?.volumes.ownerOf(id)
      if (owner) return owner
    } catch (error) {
      if (!isFailure(error, "noSuchNeedle", "corruptNeedle", "deviceFailed")) throw error
    }
  }
  throw fail("corruptNeedle", { message: "no needle says whose it is", uploadId })
}

export async function removeHeld(devices: Devices, { needles }: HeldUpload): Promise<void> {
  await mapBounded(devices.values(), BLOCK_LIMITS.shardsAtOnce, async ({ id: deviceId, volumes }) => {
    if (volumes.refusing === undefined)
      await volumes.remove(needles.filter(([of]) => of === deviceId).map(([, id]) => id))
  })
}
