/** Rescue: what is left of a store that cannot be opened any more, read from its folders into a new store. */
export type { ListSums, RescueEntry, RescueSummary } from "./report.js"
export type { RescueRequest } from "./rescue.js"
