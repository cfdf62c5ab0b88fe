/** Deduplication: blocks that a bucket has already are referenced instead of written. */
export { DEDUP } from "./feature.js"
export { DEDUP_SERVICES } from "./services.js"
