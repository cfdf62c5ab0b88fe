/** Queries of rows that only tests read. */
import { decodeEpochRow, EPOCH_ROWS } from "../format/nodes/cluster-rows.js"
import { query } from "../metadata/index.js"

/** Oldest first. */
export const epochRows = query("EpochRows", view =>
  Array.from(view.range("cluster", EPOCH_ROWS), ([, row]) => decodeEpochRow(row.value)),
)
