/** Node: a store on this machine's devices: opened, kept running, told of. What others need of one that does not run. */
export { foldersOf } from "./devices/folders.js"
export type { Engine } from "./engine.js"
export { inspect } from "./open/folder-inspection.js"
export { readMasterKeyFile } from "./open/master-key-file.js"
export { openStore, type OpenedStore } from "./open/open-store.js"
export { openSecrets, type StoreSecrets } from "./open/secrets.js"
export { fillPlace, giveUpDevices, type StoppedChange } from "./open/stopped-core.js"
export { StoppedStore } from "./open/stopped-store.js"
