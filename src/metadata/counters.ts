/** Counters of buckets as rows: how an engine that keeps one row for each bucket applies a decision's change. */
import type { EntryWrite } from "../format/entry.js"
import { decodeCounters, encodeCounters, NO_COUNTS } from "../format/records.js"
import { bucketRowKey } from "../format/row-key.js"
import type { CounterChange } from "./contract.js"
import type { RowView } from "./views.js"

/** The write that applies the change to the bucket's row; none if nothing changes. */
export function countersWrites(rows: Pick<RowView, "get">, counts: CounterChange | undefined): readonly EntryWrite[] {
  if (counts === undefined) return []
  const { bucketId, change } = counts
  if (change !== "drop" && Object.values(change).every(count => count === 0)) return []
  const key = bucketRowKey(bucketId)
  if (change === "drop") return [{ family: "counters", key, value: undefined }]
  const row = rows.get("counters", key)
  const before = row ? decodeCounters(row.value) : NO_COUNTS
  const value = encodeCounters({
    objects: before.objects + change.objects,
    versions: before.versions + change.versions,
    bytes: before.bytes + change.bytes,
    uploads: before.uploads + change.uploads,
  })
  return [{ family: "counters", key, value }]
}
