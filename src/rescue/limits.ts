/** Limits of a rescue: how much it keeps in memory, and how much it does side by side. */
export const RESCUE_LIMITS = {
  /**
   * Needles and tombstones kept at once: up to about 1 GiB of memory where each is an upload of its own. A
   * source with more is read in as many passes as it takes, each for a part of the object keys.
   */
  needlesAtOnce: 2_000_000,
  /** Object keys that are written side by side. */
  keysAtOnce: 16,
} as const
