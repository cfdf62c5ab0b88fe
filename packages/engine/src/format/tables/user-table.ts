/**
 * Tables of users: table files (`table-file`) that hold keys and values of users, each file by itself.
 *
 * It is a table of level 0 with one block format, one parity and two ends, like those of the metadata store. Its parts differ
 * in their seeds only: the ends are those of file 0 of the owner "users", and blocks and parity those of file `run`, which the
 * footer contains: a number that follows from the rows, or was drawn for the file. So a block of another file is refused.
 * A key begins with 254 for the one row that describes the file, which comes first and has no more key, and with 255 for the
 * rows of users. The describing row is a positional MessagePack array: format, kind of the values, texts by name.
 *
 * Refuses   Anything malformed with `corruptRecord`.
 */
import { fileSeed } from "./table-block.js"
import type { TableSeeds } from "./table-file.js"
import { mapOf, oneOf, record, TEXT, type ValueOf } from "../encoding/fields.js"
import type { RowSum } from "./row-sum.js"

/** The numbers that keys begin with. No family of the metadata has these numbers. */
export const ABOUT_ROW = 254
export const USER_ROW = 255
/** Numbers are on disk: append only. */
const VALUE_KINDS = ["bytes", "text", "json"] as const

/** "text": each value is UTF-8; "json": each value is a JSON text. */
export type ValueKind = (typeof VALUE_KINDS)[number]

const ABOUT = record("description of a table", {
  values: oneOf(VALUE_KINDS),
  /** Texts that describe the file. */
  notes: mapOf(TEXT, TEXT),
})
export type UserTableAbout = ValueOf<typeof ABOUT>
export const { encode: encodeAbout, decode: decodeAbout } = ABOUT

export const USER_END_SEED = fileSeed("users", 0)
const RUN_BITS_LOW = 21

/** The number of a file with these rows. */
export function runOfRows(sum: RowSum): number {
  const [low, high] = sum.halves
  // 0 is the number of the ends.
  return Math.max(1, high * 2 ** RUN_BITS_LOW + (low >>> (32 - RUN_BITS_LOW)))
}

export const userSeeds = (run: number): TableSeeds => ({ blocks: fileSeed("users", run), end: USER_END_SEED })
