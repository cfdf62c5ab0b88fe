/** Rows in scenarios: `key=value` in one family, written by commands that decide as those of the product do. */
import { fail } from "@hayloft/base/failures.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { TIMESTAMPS_ROW } from "@hayloft/engine/format/commit-timestamps.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Command } from "@hayloft/engine/metadata/index.js"
import type { Call } from "./call.js"

export const FAMILY = "current"
export const ALL_ROWS = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
/** An entry with more rows is shown by their number. */
const ROWS_SHOWN_MAX = 6

export interface RowText {
  readonly key: string
  /** The value is undefined if the row is removed. */
  readonly value: string | undefined
}

export const shownRow = ({ key, value }: RowText): string =>
  value === undefined ? `${key} removed` : `${key}=${value}`

/** The rows without those that the primary writes by itself. */
export function shownRows(all: readonly RowText[]): string {
  const rows = all.filter(({ key }) => key !== TIMESTAMPS_ROW)
  return rows.length > ROWS_SHOWN_MAX
    ? `${rows.length} rows`
    : rows.length === 0
      ? "no rows"
      : rows.map(shownRow).join(" ")
}

export const textOfWrite = ({
  key,
  value,
}: {
  readonly key: RowKey
  readonly value: Uint8Array | undefined
}): RowText => ({
  key,
  value: value && new TextDecoder().decode(value),
})

const writeOf = ({ key, value }: RowText): EntryWrite => ({
  family: FAMILY,
  key: rowKeyOf(key),
  value: value === undefined ? undefined : new TextEncoder().encode(value),
})

export type Decide = Command<string>["decide"]

const put =
  (rows: readonly RowText[]): Decide =>
  view => {
    for (const { key } of rows) view.get(FAMILY, rowKeyOf(key))
    return { writes: rows.map(writeOf), result: "done" }
  }

const valueAt = (view: Parameters<Decide>[0], key: string): string | undefined => {
  const row = view.get(FAMILY, rowKeyOf(key))
  return row && new TextDecoder().decode(row.value)
}

/** The commands that write or read within a decision, by name. */
export const DECISIONS: Readonly<Record<string, (call: Call) => Decide>> = {
  put: call => put(call.restPairs().map(([key, value]) => ({ key, value }))),
  remove: call => put(call.rest().map(key => ({ key, value: undefined }))),
  /** Refused if the row exists. */
  create(call) {
    const rows = call.restPairs().map(([key, value]) => ({ key, value }))
    return (view, time) => {
      if (rows.some(({ key }) => valueAt(view, key) !== undefined)) throw fail("preconditionFailed")
      return put(rows)(view, time)
    }
  },
  /** Reads as a decision does: earlier decisions are visible, committed or not. */
  check(call) {
    const key = call.word()
    return view => ({ writes: [], result: valueAt(view, key) ?? "absent" })
  },
  count: () => view => ({ writes: [], result: String([...view.range(FAMILY, ALL_ROWS)].length) }),
  /** Writes this many rows in one entry. */
  fill(call) {
    const [rows, value] = [call.number("rows"), call.optional("value") ?? "x"]
    return put(Array.from({ length: rows }, (_, i) => ({ key: `row${String(i).padStart(4, "0")}`, value })))
  },
}
