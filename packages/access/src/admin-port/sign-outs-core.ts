/**
 * Commands on and queries of sessions that were signed out. Pure.
 *
 * Limits  A row has at most `ENDED_MAX` sessions: beyond that, all sessions of its holder end. Rows of sessions that have
 *         ended by themselves are removed, a few at each sign-out.
 */
import type { RowKey } from "@hayloft/base/ids.js"
import {
  decodeSignOuts,
  encodeSignOuts,
  type ConsoleSession,
  type SignOuts,
} from "@hayloft/engine/format/accounts/console-session.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"

const ENDED_MAX = 64
/** Old rows that are looked at by one sign-out. */
const SWEPT_MAX = 8

type Ended = Pick<ConsoleSession, "id" | "issuedMs">

const NONE: SignOuts = { allUntilMs: 0, ended: [] }

const latestOf = ({ allUntilMs, ended }: SignOuts): number =>
  Math.max(allUntilMs, ...ended.map(({ issuedMs }) => issuedMs))

/** Rows beside `own` of which no session can live any more. */
function staleRows(view: RowView, own: RowKey, issuedBeforeMs: number): readonly RowKey[] {
  const rows: RowKey[] = []
  const seen = new Set<RowKey>([own])
  for (const start of [rowKeyAfter(own), ALL_ROWS.start]) {
    for (const [key, { value }] of view.range("signOuts", { ...ALL_ROWS, start, expectedRows: SWEPT_MAX })) {
      if (seen.size > SWEPT_MAX) break
      if (seen.has(key)) continue
      seen.add(key)
      if (latestOf(decodeSignOuts(value)) < issuedBeforeMs) rows.push(key)
    }
  }
  return rows
}

interface Times {
  readonly nowMs: number
  /** A session that was issued earlier has ended by itself. */
  readonly issuedFromMs: number
}

export const signOut = command<[holder: string, session: Ended, times: Times], void>({
  name: "SignOut",
  // A store that is full must be able to end a session.
  grows: false,
  touches: holder => [["signOuts", textRowKey(holder)]],
  decide(view, _time, holder, { id, issuedMs }, { nowMs, issuedFromMs }) {
    const key = textRowKey(holder)
    const row = view.get("signOuts", key)
    const before = row === undefined ? NONE : decodeSignOuts(row.value)
    if (isSignedOut(before, { id, issuedMs })) return { writes: [], result: undefined }
    const alive = before.ended.filter(one => one.issuedMs >= issuedFromMs)
    const after =
      alive.length < ENDED_MAX
        ? { ...before, ended: [...alive, { id, issuedMs }] }
        : { allUntilMs: Math.max(nowMs, issuedMs, latestOf(before)), ended: [] }
    const stale = staleRows(view, key, issuedFromMs)
    return {
      writes: [
        { family: "signOuts", key, value: encodeSignOuts(after) },
        ...stale.map(old => ({ family: "signOuts", key: old, value: undefined }) as const),
      ],
      result: undefined,
    }
  },
})

export const readSignOuts = query("ReadSignOuts", (view, holder: string): SignOuts => {
  const row = view.get("signOuts", textRowKey(holder))
  return row === undefined ? NONE : decodeSignOuts(row.value)
})

export const isSignedOut = ({ allUntilMs, ended }: SignOuts, { id, issuedMs }: Ended): boolean =>
  issuedMs <= allUntilMs || ended.some(one => one.id === id)
