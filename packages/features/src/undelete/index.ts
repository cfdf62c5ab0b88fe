/** Undelete: what is deleted or overwritten is kept for some days. */
export { UNDELETE, undeleteOf } from "./feature.js"
export { keptPlace, keptText } from "./kept-text.js"
export { DELETED_OBJECTS, PURGED } from "./schemas.js"
export { UNDELETE_SERVICE } from "./services.js"
export type { DeletedObject } from "./deleted-rows-core.js"
export type { Undelete } from "./undelete.js"
