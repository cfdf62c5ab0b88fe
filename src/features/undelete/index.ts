/** Undelete: what is deleted or overwritten is kept for some days. */
export { UNDELETE, undeleteOf } from "./feature.js"
export { restoreBelow } from "./restore-below.js"
export type { DeletedObject } from "./deleted-rows-core.js"
export type { KeptReport } from "./kept-queries-core.js"
export type { Undelete } from "./undelete.js"
