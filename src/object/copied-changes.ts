/** Changes of objects that reach other stores: the logs of copies, and the rows of container sync. */
export * from "./copy-log.js"
export { openObjectChanges, type NotedChange, type ObjectChanges } from "./object-changes.js"
