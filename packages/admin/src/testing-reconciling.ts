/** A store without a reconciliation, for tests of the admin API. */
import type { AdminStore } from "./api.js"

const NOTHING_FOUND = { phase: "none", progress: "", putBack: 0, listed: 0, missing: 0, items: 0, messages: 0 } as const

export const RECONCILING: AdminStore["reconciling"] = {
  report: () => NOTHING_FOUND,
  compare: () => NOTHING_FOUND,
  apply: () => NOTHING_FOUND,
  entries: () => ({ entries: [] }),
}
