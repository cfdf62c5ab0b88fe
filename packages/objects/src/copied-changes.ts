/** Changes of objects that reach other containers: the rows of container sync. */
export { openObjectChanges, type NotedChange, type ObjectChanges } from "./object-changes.js"
