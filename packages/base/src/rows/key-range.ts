/** A range of row keys, as stores, memtables and tablets read it. */
import { rowKeyOf, type RowKey } from "../ids.js"

export interface KeyRange {
  /** Inclusive, in both directions. */
  readonly start: RowKey
  /** Exclusive, in both directions. */
  readonly end: RowKey
  /** Descending: from just below `end` down to `start`. */
  readonly reverse?: boolean
  /** How many rows the reader will probably take, if it knows: an engine may fetch so many at once. */
  readonly expectedRows?: number
  /** A decision relies on the rows that it finds, not on the absence of others (`metadata/guards.ts`). */
  readonly presentOnly?: boolean
}

/** All rows of a family, whose keys may be binary: no key is empty, and none begins with 64 bytes of 0xff. */
export const ALL_ROWS: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }
