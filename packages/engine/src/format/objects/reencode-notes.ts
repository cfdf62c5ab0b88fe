/**
 * Notes for re-encoding: up to two rows of each process, in the family `lifecycle`, after its rows of buckets.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, rowKeyOf, type Incarnation, type RowKey } from "@hayloft/base/ids.js"
import { recordOf } from "../encoding/fields.js"
import { BYTE_STRING } from "../encoding/id-fields.js"

/** The family of the notes. */
export const NOTES = "lifecycle"

/** `moved`: versions to another storage class; `stored`: what was begun under a former policy. No bucket id is as high. */
export type NoteKind = "moved" | "stored"

const notesOf = (kind: NoteKind) => ({ start: rowKeyOf(`${kind} `), end: rowKeyOf(`${kind} \xff`) })

export const NOTES_OF_MOVES = notesOf("moved")
export const NOTES_OF_LATE_WRITES = notesOf("stored")

/** Returns the row key of the note of one process: so processes do not wait for each other's notes. */
export const noteRowKey = (kind: NoteKind, incarnation: Incarnation): RowKey => rowKeyOf(`${kind} ${incarnation}`)

/** Throws `corruptRecord`. */
export function incarnationOfNote(key: RowKey): Incarnation {
  const number = Number(key.slice(key.indexOf(" ") + 1))
  if (!Number.isInteger(number)) throw fail("corruptRecord", { what: "note for re-encoding" })
  return parseIncarnation(number)
}

/** The id of the decision that made the note. */
export const { encode: encodeNote, decode: decodeNote } = recordOf("note for re-encoding", BYTE_STRING)
