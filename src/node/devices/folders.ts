/** Paths inside a device's folder. */
export const foldersOf = (path: string) => ({
  log: `${path}/log`,
  metadataStore: `${path}/base`,
  volumes: `${path}/volumes`,
  payloads: `${path}/payloads`,
})
