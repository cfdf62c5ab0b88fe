/** Storage classes: which of them clients may ask for, and archived objects. */
export type * from "./contract.js"
export { classesOf, STORAGE_CLASSES_FEATURE } from "./feature.js"
export { mappedArchives, type StorageClasses } from "./storage-classes.js"
export { RESTORE_TIERS } from "@hayloft/engine/format/objects/restore.js"
