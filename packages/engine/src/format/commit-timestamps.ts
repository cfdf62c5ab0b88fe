/**
 * The end of the commit timestamps that may have been used (family `clock`): a store on one machine reserves them ahead of
 * time, and goes on after it when it starts again.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { recordOf, whole } from "./encoding/fields.js"

export const TIMESTAMPS_ROW = rowKeyOf("timestamps")

/** The last timestamp that may have been used. */
export const { encode: encodeTimestamps, decode: decodeTimestamps } = recordOf("commit timestamps", whole())
