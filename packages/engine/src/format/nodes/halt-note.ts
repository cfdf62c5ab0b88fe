/** Halt note, version 1: a packed record in the database that says why a store is halted, and what it knew by then. */
import { listOf, record, row, TEXT, type ValueOf } from "../encoding/fields.js"
import { INCARNATION } from "../encoding/id-fields.js"

const HALT_NOTE = record("halt note", {
  /** The finding of the process that halted the store. */
  reason: TEXT,
  /** The highest incarnation that had begun, as far as the database knew. */
  highest: INCARNATION,
  /** The incarnations that had not ended, as far as the database knew. */
  live: listOf(row(INCARNATION)),
})
export type HaltNote = ValueOf<typeof HALT_NOTE>
/** Decoding throws `corruptRecord`, `invalidArgument`. */
export const { encode: encodeHaltNote, decode: decodeHaltNote } = HALT_NOTE
