/** Limits of a rescue: memory and concurrency. */
export const RESCUE_LIMITS = {
  /**
   * Needles and tombstones kept in memory: up to about 1 GiB if each is an upload of its own. A source with more is
   * read
   * in several passes, each for a part of the object keys.
   */
  needlesMax: 2_000_000,
  /** Object keys that are written concurrently. */
  concurrentKeysMax: 16,
} as const
