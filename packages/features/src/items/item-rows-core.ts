/** Rows of K2V items as decisions and queries see them. Pure. */
import type { RowKey } from "@hayloft/base/ids.js"
import {
  decodeK2vItem,
  decodeK2vPartition,
  type K2vItem,
  type K2vPartition,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CommandView, RowView } from "@hayloft/engine/metadata/index.js"

const NO_PARTITION: K2vPartition = { entries: 0, conflicts: 0, values: 0, bytes: 0, changedAt: 0, collectedTo: 0 }

export function partitionIn(view: Pick<RowView, "get">, key: RowKey): K2vPartition {
  const row = view.get("k2vPartitions", key)
  return row === undefined ? NO_PARTITION : decodeK2vPartition(row.value)
}

export function itemIn(view: Pick<RowView, "get">, key: RowKey): K2vItem {
  const row = view.get("k2vItems", key)
  return row === undefined ? [] : decodeK2vItem(row.value)
}

/** For a decision, which relies on the partition's row instead of on the absence of an item that it does not write. */
export const itemToChange = (view: Pick<CommandView, "ifPresent">, key: RowKey): K2vItem =>
  itemIn({ get: (family, row) => view.ifPresent(family, row) }, key)
