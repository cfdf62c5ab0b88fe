/** Coordination of clients: sessions, locks with tokens, small files, and changes to follow. */
export type * from "./contract.js"
export { Coordination } from "./coordination.js"
export { LOCKS } from "./feature.js"
export { COORD_LIMITS, STORE_NAMESPACE } from "./limits.js"
export { LOCK_SERVICE } from "./services.js"
export { SessionEnder } from "./session-ender.js"
