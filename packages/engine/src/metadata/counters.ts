/** Counters and usage as rows: how an engine whose decisions are sequential applies a decision's changes. */
import { assert } from "@hayloft/base/assert.js"
import type { EntryWrite } from "../format/device/entry.js"
import { RememberedLast } from "@hayloft/base/remembered.js"
import { addCounters, decodeCounters, encodeCounters, NO_COUNTS, type Counters } from "../format/records.js"
import { bucketRowKey } from "../format/row-key.js"
import { addUsage, decodeUsage, encodeUsage, type Usage } from "../format/objects/usage.js"
import type { CounterChange, UsageChange } from "./contract.js"
import type { RowView } from "./views.js"

/** Each change of a bucket starts from the row that the last one made. */
const decoded = new RememberedLast<Uint8Array, Counters>(decodeCounters)

interface Counted {
  readonly counts?: readonly CounterChange[] | undefined
  readonly usage?: readonly UsageChange[] | undefined
}

type Rows = Pick<RowView, "get">

/** The writes that apply the changes to the rows; none if nothing changes. */
export function countedWrites(
  rows: Rows,
  { counts = NO_COUNTERS, usage = NO_CHANGES }: Counted,
): readonly EntryWrite[] {
  const [first] = counts
  const ofBuckets =
    counts.length > 1
      ? counts.flatMap(change => countersWrites(rows, change))
      : first === undefined
        ? NO_WRITES
        : countersWrites(rows, first)
  return usage.length === 0 ? ofBuckets : [...ofBuckets, ...usage.flatMap(change => usageWrites(rows, change))]
}

const NO_COUNTERS: readonly CounterChange[] = []
const NO_WRITES: readonly EntryWrite[] = []
const NO_CHANGES: readonly UsageChange[] = []

function countersWrites(rows: Rows, { bucketId, change }: CounterChange): readonly EntryWrite[] {
  const key = bucketRowKey(bucketId)
  if (change === "drop") return [{ family: "counters", key, value: undefined }]
  const { objects, versions, bytes, uploads } = change
  if (objects === 0 && versions === 0 && bytes === 0 && uploads === 0) return NO_WRITES
  const row = rows.get("counters", key)
  const before = row ? decoded.of(row.value) : NO_COUNTS
  const after = addCounters(before, change)
  const value = encodeCounters(after)
  decoded.set(value, after)
  return [{ family: "counters", key, value }]
}

/** A row that is lost stays lost: a count that begins again has another one. */
function usageWrites(rows: Rows, { key, change, isNew, bytesMax, objectsMax }: UsageChange): readonly EntryWrite[] {
  const row = rows.get("usage", key)
  if (change === "drop") return row === undefined ? NO_WRITES : [{ family: "usage", key, value: undefined }]
  if (isNew === true) return [{ family: "usage", key, value: encodeUsage(change) }]
  if (row === undefined) return NO_WRITES
  const after = addUsage(decodeUsage(row.value), change)
  assert(isWithin(after, bytesMax, objectsMax), "a decision that exceeds a limit refuses")
  return [{ family: "usage", key, value: encodeUsage(after) }]
}

const isWithin = ({ bytes, partBytes, objects }: Usage, bytesMax = Infinity, objectsMax = Infinity): boolean =>
  bytes + partBytes <= bytesMax && objects <= objectsMax
