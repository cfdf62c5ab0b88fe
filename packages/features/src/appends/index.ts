/** Appends: bytes at the end of objects, and objects that consist of the bytes of others. */
export { requireAppends } from "./append-commands-core.js"
export { CONCATENATION_LIMITS } from "./concatenation-commands-core.js"
export type { AppendedObject, AppendRequest, Appends } from "./contract.js"
export { APPENDS, appendsOf } from "./feature.js"
