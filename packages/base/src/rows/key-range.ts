/** A range of row keys, as stores, memtables and tablets read it. */
import { rowKeyAfter, rowKeyOf, type RowKey } from "../ids.js"

export interface KeyRange {
  /** Inclusive, in both directions. */
  readonly start: RowKey
  /** Exclusive, in both directions. */
  readonly end: RowKey
  /** Descending: from just below `end` down to `start`. */
  readonly reverse?: boolean
  /** How many rows the reader will probably take, if it knows: an engine may fetch so many at once. */
  readonly expectedRows?: number
  /** The reader needs only the first row of each common prefix: an engine may leave out the others, except in reverse. */
  readonly folding?: Folding
  /** A decision relies on the rows that it finds, not on the absence of others (`metadata/guards.ts`). */
  readonly presentOnly?: boolean
}

/**
 * Common prefixes of row keys: each ends with the first delimiter after the first bytes, unless a zero byte comes before
 * it. The byte after a prefix is never 0xff.
 */
export interface Folding {
  /** Bytes of a row key in which no delimiter counts. */
  readonly from: number
  readonly delimiter: string
}

/** The least key of a row that may follow this one if all others of its common prefix are left out. */
export function afterFolded(key: RowKey, { from, delimiter }: Folding): RowKey {
  const at = key.indexOf(delimiter, from)
  const zeroAt = key.indexOf("\x00", from)
  const isFolded = at >= 0 && (zeroAt < 0 || at < zeroAt)
  return isFolded ? rowKeyOf(`${key.slice(0, at + delimiter.length)}\xff`) : rowKeyAfter(key)
}

/** All rows of a family, whose keys may be binary: no key is empty, and none begins with 64 bytes of 0xff. */
export const ALL_ROWS: KeyRange = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }
