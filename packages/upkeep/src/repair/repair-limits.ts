/** Limits of repair: how much one step does, what is remembered, and how soon things are tried again. */
import { MIB } from "@hayloft/base/limits.js"

export const REPAIR_LIMITS = {
  /** One step visits this many partitions, or fewer if they have about this many bytes to write. */
  partitionsPerStep: 128,
  bytesPerStep: 128 * MIB,
  maxConcurrentPartitions: 64,
  /** In a store of several nodes all of this is multiplied by their number, up to this one. */
  workersMax: 64,
  hintsPerStep: 2_000,
  /** Damaged shards that wait to be recorded; the next scrub finds further ones. */
  damagesWaitingMax: 1_000,
  rowsPerCommand: 256,
  /** Lost blocks that are remembered; reads of others trigger visits of their partitions. */
  unreadableKept: 100_000,
  /** Interval of visits to partitions with blocks that no row references yet and other processes may be writing. */
  youngEveryMs: 30_000,
  /** Each interval visits the least recently visited of these partitions. */
  youngPartitionsMax: 1_024,
  /** A block that no row has referenced for so long was most likely released: no device waits for it any more. */
  youngMsMax: 15 * 60_000,
  /** Uploads that are known to be abandoned; of further ones, visits find it again. */
  abandonedKept: 10_000,
  /** Delay before failed work is retried. */
  retryMs: 5_000,
  /** Delay before a partition is visited again whose device does not respond. */
  waitingMs: 60_000,
  /** Interval of full scans, in case something was missed. */
  checkEveryMs: 24 * 3_600_000,
  /** A full scan also follows re-encoding after this quiet time, in which the replaced blocks are removed. */
  reencodedQuietMs: 30_000,
} as const
