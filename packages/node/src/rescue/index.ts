/** Rescue: recovers the contents of a store that cannot be opened, from its folders into a new store. */
export type { ListSums, RescueEntry, RescueSummary } from "./report.js"
export type { RescueRequest } from "./rescue.js"
