/** Caches that features keep in the store: how much they may hold, and the eviction of what was used longest ago. */
export { CacheRoom } from "./cache-room.js"
export { Eviction, type EvictableItem } from "./eviction.js"
export { EVICTION_LIMITS } from "./limits.js"
