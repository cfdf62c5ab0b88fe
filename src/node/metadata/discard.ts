/**
 * Discarding what a device knows of names: its base, its log, its payloads. Possible for a device that
 * holds no names (any more): its needles are untouched, and their index is rebuilt from the volumes when
 * it is opened again.
 */
import { forgetPosition } from "../../device/index.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { DeviceId } from "../../base/ids.js"
import type { Stores } from "../../seams/store/contract.js"
import { foldersOf } from "../devices/folders.js"

/** Nobody has anything of the device open. Cut off in between it is to be called again. */
export async function discardMetadata(disk: Disk, stores: Stores, path: string, deviceId: DeviceId): Promise<void> {
  const folders = foldersOf(path)
  await forgetPosition(disk, path)
  await stores.discard(folders.metadataStore, { disk, deviceId })
  for (const folder of [folders.log, folders.payloads]) {
    if (!(await disk.exists(folder))) continue
    for (const name of await disk.list(folder)) await disk.remove(`${folder}/${name}`)
    await disk.syncFolder(folder)
  }
}
