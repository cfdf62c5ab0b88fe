/** The limits of links between threads, together. */
export const LINK_LIMITS = {
  /** Calls of one side that are not answered yet; further ones are refused. More than its requests can have. */
  callsMax: 16_384,
} as const

export const KNOWN_LIMITS = {
  /** Results of queries about buckets and identities that a front keeps; with one more it forgets them all. */
  resultsMax: 20_000,
} as const
