/**
 * Changes (family `changes`): that an object has changed, in a bucket whose changes are copied elsewhere. The row of an object
 * that is there goes once the copy is made; that of a removed one stays for some days, so that older writes are refused.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { parseStoredTimestamp } from "@hayloft/base/text/timestamp.js"
import { FLAG, NUMBER, optional, parsed, record, type ValueOf } from "../encoding/fields.js"
import { BYTE_STRING } from "../encoding/id-fields.js"

const CHANGE = record("change", {
  /** The id of the decision that changed the object: each change has a different one. */
  id: BYTE_STRING,
  /** It is undefined if the object is there. */
  removedAt: optional(parsed(NUMBER, parseStoredTimestamp)),
  /** The other side knows that the object is removed. */
  isCopied: FLAG,
  /** When the change was made here, which may be long after another store made it. */
  notedMs: NUMBER,
})
export type ObjectChange = ValueOf<typeof CHANGE>
export const { encode: encodeChange, decode: decodeChange } = CHANGE
