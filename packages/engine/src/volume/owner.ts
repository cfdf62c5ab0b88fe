/**
 * Owner of the volumes in a folder: distinguishes volumes of another device, copied here whole, from damage.
 *
 * A header page that rotted, or that was misdirected, is damage: a volume counts as another device's only if its first
 * group names that device too. The oldest and the newest volume are checked.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import {
  decodeGroupHeader,
  decodeVolumeHeader,
  GROUP_HEADER_BYTES,
  VOLUME_PAGE_BYTES,
} from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { isUnreadable, listVolumes, volumePath } from "./files.js"

/** Throws `foreignFolder` if the volumes in the folder are another device's. */
export async function checkOwner(disk: Disk, folder: string, deviceId: DeviceId): Promise<void> {
  if (!(await disk.exists(folder))) return
  const ids = await listVolumes(disk, folder)
  for (const id of new Set([...ids.slice(0, 1), ...ids.slice(-1)])) {
    const path = volumePath(folder, id)
    const found = await ownerOf(disk, path)
    if (found === undefined || found === deviceId) continue
    throw fail("foreignFolder", { message: `the volumes in ${folder} are another device's`, path, found, deviceId })
  }
}

/** Returns undefined unless header and first group name the same device. */
async function ownerOf(disk: Disk, path: string): Promise<DeviceId | undefined> {
  const file = await disk.open(path, "read")
  try {
    const bytes = new Uint8Array(VOLUME_PAGE_BYTES + GROUP_HEADER_BYTES)
    const found = bytes.subarray(0, await file.read(bytes, 0))
    const volume = decodeVolumeHeader(found)
    const group = decodeGroupHeader(found.subarray(VOLUME_PAGE_BYTES))
    return volume !== undefined && volume.deviceId === group?.deviceId ? volume.deviceId : undefined
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  } finally {
    await file.close()
  }
}
