/**
 * The control record of a store as a row that all its nodes change by compare-and-swap, and a row for the partition
 * table of each layout that the record names. Pure.
 *
 * Promises  Of two changes of one generation only one is made. A table never changes: it is added and dropped.
 */
import { assert } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import {
  CONTROL_ROW_KEY,
  CONVERSION_ROW_KEY,
  decodeControlRow,
  decodeConversionRow,
  decodeLayoutRow,
  encodeControlRow,
  encodeLayoutRow,
  layoutRowKey,
  type ControlRow,
} from "../format/nodes/cluster-rows.js"
import type { EntryWrite } from "../format/device/entry.js"
import { command, query, type CommandView, type RowView } from "../metadata/index.js"

/** The partition table of a layout is one row. */
const CONTROL_BYTES_MAX = 8 * MIB

interface ControlChange extends ControlRow {
  /** The generation that is replaced; 0: the store has no record yet. */
  readonly before: number
  readonly layouts: {
    readonly put: readonly (readonly [version: number, table: Uint8Array])[]
    readonly drop: readonly number[]
  }
}

function controlIn(view: RowView): ControlRow | undefined {
  const row = view.get("cluster", CONTROL_ROW_KEY)
  return row && decodeControlRow(row.value)
}

export const controlRow = query("ControlRow", controlIn)

/** Returns undefined if the layout has no row. */
export const layoutTable = query("LayoutTable", (view, version: number) => {
  const row = view.get("cluster", layoutRowKey(version))
  return row && decodeLayoutRow(row.value)
})

/** Returns true if another process copies the rows of a store into the database. */
function isBeingFilled(view: CommandView): boolean {
  const row = view.ifPresent("cluster", CONVERSION_ROW_KEY)
  return row !== undefined && decodeConversionRow(row.value).state === "copying"
}

/**
 * Throws `conflict` unless the present generation is `before`, if a layout has another table, and for the first record
 * while rows are copied into the database.
 */
export const changeControl = command<[change: ControlChange], void>({
  name: "ChangeControl",
  bytesMax: CONTROL_BYTES_MAX,
  touches: ({ before, layouts: { put, drop } }) => [
    ["cluster", CONTROL_ROW_KEY],
    ...(before === 0 ? [["cluster", CONVERSION_ROW_KEY] as const] : []),
    ...[...put.map(([version]) => version), ...drop].map(version => ["cluster", layoutRowKey(version)] as const),
  ],
  decide(view, _time, { before, generation, record, layouts }) {
    assert(generation > before, "a change of the control record has a higher generation")
    const present = controlIn(view)?.generation ?? 0
    if (present !== before)
      throw fail("conflict", { message: `the control record has generation ${present}, not ${before}` })
    if (before === 0 && isBeingFilled(view))
      throw fail("conflict", { message: "the metadata of a store is being copied into the database" })
    const writes: EntryWrite[] = [
      { family: "cluster", key: CONTROL_ROW_KEY, value: encodeControlRow({ generation, record }) },
    ]
    for (const [version, table] of layouts.put) {
      const key = layoutRowKey(version)
      const row = view.ifPresent("cluster", key)
      const value = encodeLayoutRow(table)
      if (row && !equalBytes(row.value, value))
        throw fail("conflict", { message: `layout ${version} has another table` })
      if (row === undefined) writes.push({ family: "cluster", key, value })
    }
    for (const version of layouts.drop) {
      const key = layoutRowKey(version)
      if (view.ifPresent("cluster", key)) writes.push({ family: "cluster", key, value: undefined })
    }
    return { writes, result: undefined }
  },
})
