/**
 * Combines the changes of object editors into one decision: their writes, and the sums for counters and usage. Pure.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { addCounters, NO_COUNTS, type Counters } from "@hayloft/engine/format/records.js"
import { addUsage, type Usage } from "@hayloft/engine/format/objects/usage.js"
import type { CommandView, CounterChange, MetadataRow, UsageChange } from "@hayloft/engine/metadata/index.js"
import type { DecisionRows, Growth, ObjectChangePart } from "../door/decision-part.js"
import { decideEach } from "./decide-each-core.js"
import { usageChanges } from "./usage-core.js"

/** The changes of one editor. */
export interface FinishedEditor {
  readonly bucketId: BucketId
  readonly writes: readonly EntryWrite[]
  readonly change: Counters
  /** It is undefined if no feature counts the change. */
  readonly growth: Growth | undefined
  /** The parts of features. */
  readonly features: readonly ObjectChangePart[]
}

export interface Finished {
  readonly writes: readonly EntryWrite[]
  readonly counts: readonly CounterChange[]
  readonly usage: readonly UsageChange[]
}

const NO_USAGE_CHANGES: readonly UsageChange[] = []

/** The rows that features add to a whole decision. */
class AddedRows implements DecisionRows {
  readonly writes: EntryWrite[] = []
  private readonly counts = new Map<RowKey, Usage>()

  constructor(private readonly view: CommandView) {}

  read(family: Family, key: RowKey): MetadataRow | undefined {
    const write = this.writes.find(each => each.key === key && each.family === family)
    return write?.value === undefined ? this.view.ifPresent(family, key) : { value: write.value, payload: undefined }
  }

  put(family: Family, key: RowKey, value: Uint8Array): void {
    const at = this.writes.findIndex(each => each.key === key && each.family === family)
    if (at < 0) this.writes.push({ family, key, value })
    else this.writes[at] = { family, key, value }
  }

  count(key: RowKey, change: Usage): void {
    const before = this.counts.get(key)
    this.counts.set(key, before === undefined ? change : addUsage(before, change))
  }

  get usage(): readonly UsageChange[] {
    return Array.from(this.counts, ([key, change]) => ({ key, change })).filter(
      ({ change: { bytes, objects, partBytes } }) => bytes !== 0 || objects !== 0 || partBytes !== 0,
    )
  }
}

/** Returns undefined if no feature adds any. */
function addedBy(view: CommandView, editors: readonly FinishedEditor[]): AddedRows | undefined {
  if (editors.every(({ features }) => features.length === 0)) return undefined
  const parts = editors.flatMap(({ features }) => features).filter(part => part.finish !== undefined)
  if (parts.length === 0) return undefined
  const rows = new AddedRows(view)
  decideEach(parts, part => part.finish?.(rows))
  return rows
}

/** Throws what features refuse. */
export function finishedAlone(view: CommandView, editor: FinishedEditor): Finished {
  const { bucketId, change, growth, writes } = editor
  const usage = growth === undefined ? NO_USAGE_CHANGES : usageChanges(view, [growth])
  const added = addedBy(view, [editor])
  const counts = [{ bucketId, change }]
  if (added === undefined) return { writes, counts, usage }
  return { writes: [...writes, ...added.writes], counts, usage: [...usage, ...added.usage] }
}

/** Each bucket and each count gets the sum. Throws what features refuse. */
export function finishedTogether(view: CommandView, editors: readonly FinishedEditor[]): Finished {
  const counters = new Map<BucketId, Counters>()
  for (const { bucketId, change } of editors) {
    counters.set(bucketId, addCounters(counters.get(bucketId) ?? NO_COUNTS, change))
  }
  const usage = usageChanges(
    view,
    editors.flatMap(({ growth }) => (growth === undefined ? [] : [growth])),
  )
  const added = addedBy(view, editors)
  return {
    writes: [...editors.flatMap(({ writes }) => writes), ...(added?.writes ?? [])],
    counts: [...counters].map(([bucketId, change]) => ({ bucketId, change })),
    usage: [...usage, ...(added?.usage ?? [])],
  }
}
