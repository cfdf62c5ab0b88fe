/** Types of requests and results of coordination. */
export type { AcquireOutcome, LockStanding } from "./lock-commands-core.js"
export type { ShownFile } from "./coord-queries-core.js"
export type { FileConditions } from "./file-commands-core.js"
