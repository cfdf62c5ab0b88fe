/** Schemas about other stores: buckets whose objects are there, and copies. */
export { COPIES } from "./copies-schemas.js"
export { PENDING_COUNTED_MAX, PENDING_WRITES, REMOTES } from "./remote-schemas.js"
