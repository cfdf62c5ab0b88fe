/** Counters of buckets as rows: how an engine that keeps one row for each bucket applies a decision's change. */
import type { EntryWrite } from "../format/entry.js"
import { RememberedLast } from "../base/remembered.js"
import { decodeCounters, encodeCounters, NO_COUNTS, type Counters } from "../format/records.js"
import { bucketRowKey } from "../format/row-key.js"
import type { CounterChange } from "./contract.js"
import type { RowView } from "./views.js"

/** Each change of a bucket starts from the row that the last one made. */
const decoded = new RememberedLast<Uint8Array, Counters>(decodeCounters)

/** The write that applies the change to the bucket's row; none if nothing changes. */
export function countersWrites(rows: Pick<RowView, "get">, counts: CounterChange | undefined): readonly EntryWrite[] {
  if (counts === undefined) return []
  const { bucketId, change } = counts
  const key = bucketRowKey(bucketId)
  if (change === "drop") return [{ family: "counters", key, value: undefined }]
  const { objects, versions, bytes, uploads } = change
  if (objects === 0 && versions === 0 && bytes === 0 && uploads === 0) return []
  const row = rows.get("counters", key)
  const before = row ? decoded.of(row.value) : NO_COUNTS
  const after = {
    objects: before.objects + objects,
    versions: before.versions + versions,
    bytes: before.bytes + bytes,
    uploads: before.uploads + uploads,
  }
  const value = encodeCounters(after)
  decoded.set(value, after)
  return [{ family: "counters", key, value }]
}
