/** Named limits of copies in other stores. */
export const COPIES_LIMITS = {
  /** Buckets that are copied: others are refused. Should calls at the same time set more, those beyond wait until others are not. */
  bucketsMax: 1_000,
  bucketsConcurrent: 16,
  /** How often logs are looked at. */
  pollMs: 1_000,
  /** How often the buckets are read, and rows of those that are not copied any more are looked for. */
  bucketsEveryMs: 5_000,
  /** Commands of one round that remove rows of buckets that are not copied any more. */
  dropsPerRound: 16,
  /** Changes of a bucket that are read and not acknowledged. */
  windowMax: 256,
  /** Keys of a bucket that are sent at a time: each has a body under way, of which some pieces are in memory. */
  keysConcurrent: 8,
  /** Changes that are counted at a time, and in one turn. */
  countedPerPage: 1_000,
  countedPerTurn: 20_000,
  /** Keys of a listing. */
  filledPerPage: 256,
  /** A log that is longer, or older, is given up: the target is filled again. */
  logChangesMax: 10_000_000,
  logAgeMsMax: 7 * 86_400_000,
  /** Rests after failures of the target, or of a read here. */
  retryFirstMs: 1_000,
  retryMostMs: 60_000,
  /** Failures of a key while the target answers, before it is parked; one that the target refuses is parked at once. */
  attemptsMax: 3,
  /** Keys that the target fails to take without taking one, before it counts as away. */
  failedInRowMax: 16,
  /** Objects that are parked; with more, the bucket waits. */
  parkedMax: 10_000,
  parkedFirstMs: 60_000,
  parkedMostMs: 3_600_000,
  /** Parked objects that are tried again at a time. */
  parkedRetriesMax: 16,
  reasonCharsMax: 300,
  /** How often an error that stays is written down. */
  errorEveryMs: 10_000,
} as const
