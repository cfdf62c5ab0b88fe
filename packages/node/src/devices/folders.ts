/** Paths inside a device's folder. */
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { EXPIRING_CLASSES, type ExpiringClass } from "@hayloft/engine/volume/index.js"

export const foldersOf = (path: string) => ({
  log: `${path}/log`,
  metadataStore: `${path}/base`,
  volumes: `${path}/volumes`,
  payloads: `${path}/payloads`,
})

/** The folder of the volumes of needles that end, by class. */
export const expiringFolderOf = (path: string, { name }: { readonly name: string }): string => `${path}/volumes-${name}`

interface VolumeFolder {
  /** The class is absent for the ordinary volumes. */
  readonly ends?: ExpiringClass
  readonly folder: string
}

/** The folders of needles that exist: that of the ordinary volumes first. */
export async function volumeFoldersOf(disk: Disk, path: string): Promise<readonly VolumeFolder[]> {
  const all = [
    { folder: foldersOf(path).volumes },
    ...EXPIRING_CLASSES.map(ends => ({ ends, folder: expiringFolderOf(path, ends) })),
  ]
  const found: VolumeFolder[] = []
  for (const each of all) if (await disk.exists(each.folder)) found.push(each)
  return found
}
