/**
 * Discard: removes the metadata of a device: its metadata store, its log, its payloads. Only for a device without
 * a metadata replica: its needles are untouched, and their index is rebuilt from the volumes when the device is
 * opened again.
 */
import { discardSource, forgetPosition } from "@hayloft/engine/device/index.js"
import { EXPIRING_FAMILY } from "@hayloft/engine/format/needles/expiring-key.js"
import type { StoreHost, Stores } from "@hayloft/base/seams/store/contract.js"
import { EXPIRING_CLASSES, sourceNameOf, VOLUMES_SOURCE } from "@hayloft/engine/volume/index.js"
import { foldersOf } from "../devices/folders.js"

/**
 * Removes the index of all needles, and returns how many rows that were: the next start rebuilds it from the volumes. The
 * device must not be open. Throws as `discardSource`.
 */
export async function discardIndex(stores: Stores, metadataStore: string, host: StoreHost): Promise<number> {
  const ordinary = await discardSource(stores, metadataStore, host, [VOLUMES_SOURCE], "needles")
  const sources = EXPIRING_CLASSES.map(sourceNameOf)
  return ordinary + (await discardSource(stores, metadataStore, host, sources, EXPIRING_FAMILY))
}

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
