/** Limits of tables of users. */
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"
import { TABLE_LIMITS, type TableLimits } from "../table/index.js"

export const TABLE_FILE_LIMITS = {
  keyBytesMax: 4 * KIB - 1,
  valueBytesMax: 4 * MIB,
  /** The limit is for one file: its rows, directories and filters. */
  fileBytesMax: 64 * GIB,
  /** The limit is for both ends of a file with the parity between them. */
  endBytesMax: 128 * MIB,
  /** Rows that are sorted in memory, with their keys; more rows become several runs on the disk. */
  sortBytes: 128 * MIB,
  sortRowsMax: 2 ** 20,
  /** Runs that are merged at a time. Each has one partition in memory. */
  mergeRunsMax: 16,
  /** Blocks that an open file keeps in memory, if nothing else is set. */
  cacheBytes: 64 * MIB,
  /** The limit is for a line of input. */
  lineBytesMax: 32 * MIB,
  /** Texts that describe a file, and their length. */
  notesMax: 32,
  noteBytesMax: 1 * KIB,
} as const

/** The limits of the table writer for one file. */
export const FILE_LIMITS: TableLimits = { ...TABLE_LIMITS, tableBytes: TABLE_FILE_LIMITS.fileBytesMax }
