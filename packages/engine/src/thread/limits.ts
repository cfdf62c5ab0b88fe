/** The limits of links between threads, together. */
import { KIB, MIB } from "@hayloft/base/limits.js"

export const LINK_LIMITS = {
  /** Calls of one side that are not answered yet; further ones are refused. More than its requests can have. */
  callsMax: 16_384,
  /** A message of packed bytes is moved if it is longer: to move a short one costs more than to copy it. */
  copiedBytesMax: 16 * KIB,
  /** Arrays of bytes of a longer packed message are copied: a result that is kept would keep all of it in memory. */
  viewedBytesMax: 256 * KIB,
  /** Shapes of objects that a link packs briefly: several times those of all commands and queries. */
  shapesMax: 4_000,
} as const

/** Results of queries about buckets and identities that a front keeps; beyond either it forgets them all. */
export const KNOWN_LIMITS = { resultsMax: 20_000, bytesMax: 16 * MIB } as const

/** Results about objects that a front keeps; beyond either it drops those that were not used for longest. */
export const ANSWER_LIMITS = {
  answersMax: 10_000,
  bytesMax: 8 * MIB,
  /** Among how many queries one counts as asked again: about as many as have answers with payloads of 4 KiB in these bytes. */
  askedLately: 2_048,
} as const
