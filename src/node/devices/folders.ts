/** Paths inside a device's folder. */
export const foldersOf = (path: string) => ({
  log: `${path}/log`,
  metadataStore: `${path}/base`,
  volumes: `${path}/volumes`,
  payloads: `${path}/payloads`,
})

/** The folder of the volumes of needles that end, by class. */
export const expiringFolderOf = (path: string, { name }: { readonly name: string }): string => `${path}/volumes-${name}`
