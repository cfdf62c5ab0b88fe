/** Limits of rates, as rows of accounts and access keys contain them. */
import { NUMBER, optional, row, type ValueOf } from "../encoding/fields.js"

/** Each member is undefined if there is no such limit. */
export const RATE_LIMITS = row({
  requestsPerSecond: optional(NUMBER),
  /** Requests that may arrive at once; undefined: as many as `requestsPerSecond`. */
  burst: optional(NUMBER),
  /** The limit is for bodies, received and sent together. */
  bytesPerSecond: optional(NUMBER),
})
export type RateLimits = ValueOf<typeof RATE_LIMITS>
