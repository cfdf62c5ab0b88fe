/** How a decision records that a device lacks a shard. Pure. */
import type { RowKey } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import { encodeHint } from "../../format/records.js"
import type { DecisionTime, RowView } from "../../metadata/index.js"

/** A hint that is recorded again gets another value, so that a job which has read it before does not drop it. */
export function hintWrite(view: RowView, time: DecisionTime, key: RowKey): EntryWrite {
  view.get("debts", key)
  return { family: "debts", key, value: encodeHint(time.id) }
}
