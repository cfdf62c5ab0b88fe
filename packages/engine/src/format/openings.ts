/**
 * The processes that have written the history of a tablet (family `clock`): a store on one machine notes each of them with
 * its first entry.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import { parsed, recordOf, rowsOf, whole, type ValueOf } from "./encoding/fields.js"

export const OPENINGS_ROW = rowKeyOf("openings")

const OPENINGS = rowsOf({
  /** It is random: two processes that begin at the same position differ. */
  id: whole(),
  /** The last position before the first entry of the process. */
  after: parsed(whole(), parsePosition),
})

/** They are in their order; the earliest ones are forgotten. */
export type Openings = ValueOf<typeof OPENINGS>

export const { encode: encodeOpenings, decode: decodeOpenings } = recordOf("openings", OPENINGS)
