/** Coordination of clients: sessions, locks with tokens, small files, and changes to follow. */
export type * from "./contract.js"
export { Coordination, STORE_NAMESPACE } from "./coordination.js"
export { COORD_LIMITS } from "./limits.js"
export { requireFence } from "./lock-commands-core.js"
export { SessionEnder } from "./session-ender.js"
