/** What clients of coordination ask for and get. */
export type { AcquireOutcome, Acquisition } from "./lock-commands-core.js"
export type { ChangesAfter, Page, ShownFile, ShownLock, ShownNamespace, ShownSession } from "./coord-queries-core.js"
export type { FileConditions } from "./file-commands-core.js"
