/**
 * The interface that the npm package offers to programs as `hayloft/volumes`; declarations/volumes.d.ts describes it
 * for their compilers.
 */
import { resolve } from "node:path"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { TableStores } from "../table/index.js"
import type { FsckOptions, FsckReport, OpenVolumesOptions } from "./contract.js"
import { fsckStore } from "./fsck.js"
import { VolumeStore, type StoreSeams } from "./store.js"
import { withVolumeErrors } from "./volume-error.js"

export { VolumeError } from "./volume-error.js"

const seamsOf = ({ indexCacheBytes }: OpenVolumesOptions = {}): StoreSeams => ({
  disk: new RealDisk(),
  clock: new RealClock(),
  random: new RealRandom(),
  locks: new RealLocks(),
  stores: new TableStores(indexCacheBytes === undefined ? {} : { cacheBytesMax: indexCacheBytes }),
})

/** Opens a folder, which is made if the one above exists. */
export const openVolumes = (path: string, options: OpenVolumesOptions = {}): Promise<VolumeStore> =>
  withVolumeErrors(() => VolumeStore.open(seamsOf(options), resolve(path), options))

export const fsckVolumes = (path: string, options: FsckOptions = {}): Promise<FsckReport> =>
  withVolumeErrors(() => fsckStore(seamsOf(), resolve(path), options))

/** Removes the index of a store that no process has open, and makes another from the volumes. Throws `notAStore`. */
export const rebuildIndex = (
  path: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> =>
  withVolumeErrors(async () => {
    const store = await VolumeStore.open(seamsOf(), resolve(path), { ...options, isIndexDiscarded: true })
    await store.close()
  })
