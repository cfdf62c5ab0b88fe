/** Halt note, version 1: a packed record in the database that says why a store is halted, and what it knew by then. */
import { parseIncarnation, type Incarnation } from "../base/ids.js"
import { packRecord, RecordReader } from "./pack.js"

export interface HaltNote {
  /** The finding of the process that halted the store. */
  readonly reason: string
  /** The highest incarnation that had begun, as far as the database knew. */
  readonly highest: Incarnation
  /** The incarnations that had not ended, as far as the database knew. */
  readonly live: readonly Incarnation[]
}

export const encodeHaltNote = ({ reason, highest, live }: HaltNote): Uint8Array =>
  packRecord(1, [reason, highest, live.map(incarnation => [incarnation])])

/** Throws `corruptRecord`, `invalidArgument`. */
export function decodeHaltNote(bytes: Uint8Array): HaltNote {
  const row = RecordReader.open("halt note", bytes, 1)
  return {
    reason: row.text(),
    highest: parseIncarnation(row.number()),
    live: row.rows(entry => parseIncarnation(entry.number())),
  }
}
