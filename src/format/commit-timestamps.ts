/**
 * The end of the commit timestamps that may have been used (family `clock`): a store on one machine reserves them ahead of
 * time, and goes on after it when it starts again.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { rowKeyOf } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"

export const TIMESTAMPS_ROW = rowKeyOf("timestamps")

/** `us`: the last one that may have been used. */
export const encodeTimestamps = (us: number): Uint8Array => packRecord(1, [us])

/** Throws `corruptRecord`. */
export function decodeTimestamps(bytes: Uint8Array): number {
  const us = RecordReader.open("commit timestamps", bytes, 1).number()
  if (!Number.isSafeInteger(us) || us < 0) throw fail("corruptRecord", { what: "commit timestamps" })
  return us
}
