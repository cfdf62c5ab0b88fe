/**
 * The openings of a store tell which processes have written the history of a tablet, and from which position on: the first
 * entry of each says so.
 *
 * The history of a replica is the beginning of that of any longer one. If both went on by different processes after one that
 * they have in common, a device was copied and the copy has run by itself: each has entries that the other lacks, and the
 * longer history is not the right one. Pure.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Position } from "@hayloft/base/ids.js"
import { decodeOpenings, encodeOpenings, OPENINGS_ROW, type Openings } from "../format/openings.js"
import type { EntryWrite } from "../format/device/entry.js"

/** A device that was away for more of them is not recognized as a copy. */
const OPENINGS_KEPT = 32

interface RowReader {
  get(family: "clock", key: typeof OPENINGS_ROW): { readonly value: Uint8Array } | undefined
}

/** A row that is damaged tells nothing: it is a hint, and no reason to refuse a store. */
export function openingsIn(rows: RowReader): Openings {
  try {
    const row = rows.get("clock", OPENINGS_ROW)
    return row === undefined ? [] : decodeOpenings(row.value)
  } catch (error) {
    if (!isFailure(error)) throw error
    return []
  }
}

/** The row with the opening of this process, which the entry after `after` writes. */
export const openingWrite = (earlier: Openings, id: number, after: Position): EntryWrite => ({
  family: "clock",
  key: OPENINGS_ROW,
  value: encodeOpenings([...earlier, { id, after }].slice(-OPENINGS_KEPT)),
})

interface History {
  readonly openings: Openings
  readonly last: Position
}

/** Returns false if each of two histories has entries that the other lacks, as far as their openings tell. */
export function isOneHistory(one: History, other: History): boolean {
  return isBeginning(one, other) || isBeginning(other, one) || !haveCommon(one.openings, other.openings)
}

function isBeginning({ openings, last }: History, other: History): boolean {
  const newest = openings.at(-1)
  const at = other.openings.findLastIndex(({ id }) => id === newest?.id)
  const next = other.openings[at + 1]
  return at >= 0 && (next === undefined || last <= next.after)
}

const haveCommon = (one: Openings, other: Openings): boolean => one.some(({ id }) => other.some(each => each.id === id))
