/**
 * The row that tells where the metadata of a store is which is converted: from its devices to this database, or back.
 * Pure.
 *
 * Promises  A state follows only the one that the caller has seen, and none follows `left`. Nothing is copied over the rows
 *           of a store that is here.
 */
import { fail } from "@hayloft/base/failures.js"
import {
  CONTROL_ROW_KEY,
  CONVERSION_ROW_KEY,
  decodeConversionRow,
  encodeConversionRow,
  type ConversionRow,
  type ConversionState,
} from "../format/nodes/cluster-rows.js"
import { command, type RowView } from "../metadata/index.js"

function conversionIn(view: RowView): ConversionRow | undefined {
  const row = view.get("cluster", CONVERSION_ROW_KEY)
  return row && decodeConversionRow(row.value)
}

/**
 * Throws `conflict` unless the present state is `from` (undefined: there is none), and if rows would be copied into the
 * database of a store that has a control record here.
 */
export const setConversion = command<[from: ConversionState | undefined, row: ConversionRow], void>({
  name: "SetConversion",
  grows: false,
  touches: () => [
    ["cluster", CONVERSION_ROW_KEY],
    ["cluster", CONTROL_ROW_KEY],
  ],
  decide(view, _time, from, row) {
    const present = conversionIn(view)?.state
    if (present === "left")
      throw fail("conflict", {
        message: "the store has left this database, which cannot be used again: pass the URL of an empty one",
      })
    if (present !== from)
      throw fail("conflict", {
        message: `the conversion of the store is ${present ?? "not begun"}, not ${from ?? "new"}`,
      })
    if (row.state === "copying" && view.ifPresent("cluster", CONTROL_ROW_KEY))
      throw fail("conflict", { message: "the database keeps the metadata of a store already" })
    return {
      writes: [{ family: "cluster", key: CONVERSION_ROW_KEY, value: encodeConversionRow(row) }],
      result: undefined,
    }
  },
})
