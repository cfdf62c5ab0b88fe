/** Limits of the metadata store's tables. */
import { KIB, MIB } from "@hayloft/base/limits.js"

export const TABLE_LIMITS = {
  /** A data block ends after this many bytes; one row that is larger has a block of its own. */
  blockBytes: 8 * KIB,
  /** A partition ends after this many bytes of data blocks. */
  partitionBytes: 1 * MIB,
  /** A table file ends after this many bytes. */
  tableBytes: 8 * MIB,
  /** Runs of level 0 from which on they are merged into the next level. */
  topRunsMax: 4,
  /** Runs of level 0 from which on a checkpoint waits for a merge. */
  topRunsStop: 12,
  /** How many times larger a level is than the one above it. */
  levelRatio: 10,
  /** The first level below level 0 contains at most this much; otherwise another level is put before it. */
  firstLevelBytesMax: 256 * MIB,
  /** Level 0 is merged into one of the levels 1 to `levels`; the last one holds most rows. */
  levels: 6,
  /** Input of one merge step. A step has at least one file of each of two levels. */
  stepBytesMax: 96 * MIB,
  stepFilesMax: 12,
} as const

export type TableLimits = { readonly [Name in keyof typeof TABLE_LIMITS]: number }

/** Blocks kept in memory by one process. */
export const BLOCK_CACHE_BYTES_MAX = 256 * MIB
/** A block that is not used for so long is evicted; it may take twice as long. */
export const BLOCK_IDLE_MS = 5 * 60_000
/** Options of a thread that only writes: it may wait for its reads, and caches little. */
export const WRITER_OPTIONS = { cacheBytesMax: 8 * MIB, syncBytesMax: Infinity } as const
export const MANIFEST_BYTES_MAX = 64 * MIB
