/** Histories of buckets, and reads of buckets as they were at a moment. */
export { HISTORY, historyOf } from "./feature.js"
export { HISTORY_SERVICES } from "./services.js"
export type { Histories } from "./histories.js"
export type { MomentService } from "./moments.js"
