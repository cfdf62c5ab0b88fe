/**
 * Discard: removes the metadata of a device: its metadata store, its log, its payloads. Only for a device without
 * a metadata replica: its needles are untouched, and their index is rebuilt from the volumes when the device is
 * opened again.
 */
import { forgetPosition } from "../../device/index.js"
import type { StoreHost, Stores } from "../../seams/store/contract.js"
import { foldersOf } from "../devices/folders.js"

/** The device must not be open. Call again if interrupted. */
export async function discardMetadata(stores: Stores, path: string, host: StoreHost): Promise<void> {
  const { disk } = host
  const folders = foldersOf(path)
  await forgetPosition(disk, path)
  await stores.discard(folders.metadataStore, host)
  for (const folder of [folders.log, folders.payloads]) {
    if (!(await disk.exists(folder))) continue
    for (const name of await disk.list(folder)) await disk.remove(`${folder}/${name}`)
    await disk.syncFolder(folder)
  }
}
