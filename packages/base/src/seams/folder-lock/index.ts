/** Folder locks: the contract, the real ones and the simulated ones. */
export type { FolderLock, FolderLocks } from "./contract.js"
export { inUse } from "./owner.js"
export { RealLocks } from "./real.js"
export { SimLocks } from "./sim.js"
