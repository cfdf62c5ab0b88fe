/** Limits: how much of a tablet's work waits, is read or is copied at once. */
import { rowKeyOf } from "../base/ids.js"
import { MIB } from "../base/limits.js"

/** Answers that wait at once; beyond, `tooManyInFlight`. */
export const COMMANDS_WAITING_MAX = 10_000
/** A decision that keeps needing payloads that keep changing is given back to the caller. */
export const PAYLOAD_READS_MAX = 8
export const MEMBERS_AT_ONCE = 32
/** The metadata of a replica is verified again no earlier than this after the last time. */
export const VERIFY_EVERY_MS_MIN = 60_000

export const LEARNER_LIMITS = {
  /** Rows of one snapshot chunk: reading and encoding them holds the thread for some milliseconds. */
  chunkRowsMax: 256,
  /** Payloads of a chunk that are read at once. */
  payloadsAtOnce: 16,
  /** With more than this still to be logged, no more rows are copied: entries come first. */
  paceBytes: 4 * MIB,
  /** With no more than this still to be logged, commits wait for the rest, and then count the learner. */
  joinBytes: MIB,
  /** A learner that falls behind by more than this gives up: commits never wait for one. */
  queueBytesMax: 64 * MIB,
} as const

/** Rows of each member that one step of a comparison reads, all in one turn. */
export const COMPARED_ROWS = 256

/** Behind all rows: no row key begins with this many bytes of 255. */
export const END_OF_KEYS = rowKeyOf("\xff".repeat(16))
/** Blocks of rows that are read for one command, one after another. A command that needs more is refused. */
export const ROW_READS_MAX = 4_096
