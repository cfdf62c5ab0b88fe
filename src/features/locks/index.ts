/** Coordination of clients: sessions, locks with tokens, small files, and changes to follow. */
export type * from "./contract.js"
export { countRestorableFiles, FileRestoring, isRestorableFile } from "./coord-restoring.js"
export { Coordination } from "./coordination.js"
export { COORD_LIMITS, STORE_NAMESPACE } from "./limits.js"
export { requireFence } from "./lock-commands-core.js"
export { SessionEnder } from "./session-ender.js"
