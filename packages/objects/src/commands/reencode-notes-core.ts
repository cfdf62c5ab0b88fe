/**
 * Notes for re-encoding: rows by which a process tells the one that re-encodes that another walk is needed. One says that
 * versions have moved to other storage classes, the other that all is committed which the process wrote under a
 * former policy. Each process has at most one of either kind, with the id of the decision that made it: another id than
 * before means another walk. Pure.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import {
  decodeNote,
  encodeNote,
  incarnationOfNote,
  NOTES_OF_LATE_WRITES,
  NOTES_OF_MOVES,
  noteRowKey,
  NOTES,
  type NoteKind,
} from "@hayloft/engine/format/objects/reencode-notes.js"
import { command, query, type CommandView, type DecisionTime } from "@hayloft/engine/metadata/index.js"

/** The row of this process's note, with this decision. */
export function noteOf(
  view: CommandView,
  { id, incarnations }: Pick<DecisionTime, "id" | "incarnations">,
  kind: NoteKind,
) {
  const key = noteRowKey(kind, incarnations.own)
  view.get(NOTES, key)
  return { family: NOTES, key, value: encodeNote(id) } as const
}

export const noteLateWrites = command<[], void>({
  name: "NoteLateWrites",
  grows: false,
  touches: () => [],
  decide: (view, time) => ({ writes: [noteOf(view, time, "stored")], result: undefined }),
})

export interface ReencodeNotes {
  /** Ids. */
  readonly moves: readonly string[]
  readonly lateWrites: readonly string[]
  /** Rows of processes that are over, which write no more of them. */
  readonly left: readonly RowKey[]
}

export const reencodeNotes = query("ReencodeNotes", (view): ReencodeNotes => {
  const [moves, lateWrites] = [NOTES_OF_MOVES, NOTES_OF_LATE_WRITES].map(range => [...view.range(NOTES, range)])
  const idsOf = (rows: typeof moves = []) => rows.map(([, { value }]) => decodeNote(value))
  const isLeft = (key: RowKey): boolean => view.incarnations.isOver(incarnationOfNote(key))
  const keys = [...(moves ?? []), ...(lateWrites ?? [])].map(([key]) => key)
  return { moves: idsOf(moves), lateWrites: idsOf(lateWrites), left: keys.filter(isLeft) }
})

/** Removes notes that a whole walk has taken into account. */
export const forgetNotes = command<[keys: readonly RowKey[]], void>({
  name: "ForgetNotes",
  grows: false,
  touches: () => [],
  decide(view, { incarnations }, keys) {
    const isRemoved = (key: RowKey): boolean =>
      incarnations.isOver(incarnationOfNote(key)) && view.ifPresent(NOTES, key) !== undefined
    return {
      writes: keys.filter(isRemoved).map(key => ({ family: NOTES, key, value: undefined })),
      result: undefined,
    }
  },
})
