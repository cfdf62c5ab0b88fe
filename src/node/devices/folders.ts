/** Names inside a device's folder. */
export const foldersOf = (path: string) => ({
  log: `${path}/log`,
  base: `${path}/base`,
  volumes: `${path}/volumes`,
  payloads: `${path}/payloads`,
})
