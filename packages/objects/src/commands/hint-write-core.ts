/** The write that records a missing-shard hint. Pure. */
import type { RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { encodeHint } from "@hayloft/engine/format/records.js"
import type { DecisionTime, RowView } from "@hayloft/engine/metadata/index.js"

/** A hint that is recorded again gets another value, so that a job which has read it before does not drop it. */
export function hintWrite(view: RowView, time: DecisionTime, key: RowKey): EntryWrite {
  view.get("missingShardHints", key)
  return { family: "missingShardHints", key, value: encodeHint(time.id) }
}
