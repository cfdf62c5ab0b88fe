/**
 * Discard: removes the metadata of a device: its metadata store, its log, its payloads. Only for a device without
 * a metadata replica: its needles are untouched, and their index is rebuilt from the volumes when the device is
 * opened again.
 */
import { forgetPosition } from "../../device/index.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { DeviceId } from "../../base/ids.js"
import type { Stores } from "../../seams/store/contract.js"
import { foldersOf } from "../devices/folders.js"

/** The device must not be open. Call again if interrupted. */
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
