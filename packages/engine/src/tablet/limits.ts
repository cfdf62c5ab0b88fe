/** Limits: how much of a tablet's work waits, is read or is copied concurrently. */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"

/** Answers that wait together; beyond, `tooManyInFlight`. */
export const COMMANDS_WAITING_MAX = 10_000
/** A decision that keeps needing payloads that keep changing is refused. */
export const PAYLOAD_READS_MAX = 8
export const MAX_CONCURRENT_REPLICAS = 32
/** The metadata of a replica is verified again no earlier than this after the last time. */
export const VERIFY_EVERY_MS_MIN = 60_000

export const LEARNER_LIMITS = {
  /** Rows of one snapshot chunk: reading and encoding them holds the thread for some milliseconds. */
  chunkRowsMax: 256,
  /** Payloads of a chunk that are read concurrently. */
  payloadsAtOnce: 16,
  /** While more than this remains to be logged, no more rows are copied: entries come first. */
  paceBytes: 4 * MIB,
  /** Once no more than this remains to be logged, commits wait for the rest, and then the learner votes. */
  joinBytes: MIB,
  /** A learner that falls behind by more than this gives up: commits never wait for one. */
  queueBytesMax: 64 * MIB,
} as const

/** Rows of each replica that one step of a comparison reads synchronously. */
export const COMPARED_ROWS = 256

/** Behind all rows: no row key begins with this many bytes of 255. */
export const END_OF_KEYS = rowKeyOf("\xff".repeat(16))
/**
 * Blocks of rows that are read for one command, one after another, while others are decided. If it needs more, or the cache is
 * too small for all that it needs, it is decided while its rows are read.
 */
export const ROW_READS_MAX = 1_024
