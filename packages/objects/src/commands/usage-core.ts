/**
 * Growth of buckets, as features count it, and may refuse it. The counters of buckets are the core's own: they have no
 * limits. Pure.
 */
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import type { RowView, UsageChange } from "@hayloft/engine/metadata/index.js"
import type { Growth, UsagePart } from "../door/decision-part.js"
import { bucketParts, usageParts } from "../door/parts.js"
import { decideEach } from "./decide-each-core.js"

const NO_CHANGES: readonly UsageChange[] = []

/** Returns true if some feature counts what the bucket holds. */
export function isCounted(bucket: BucketRecord): boolean {
  for (const part of usageParts()) if (part.counts(bucket)) return true
  return false
}

/** The runs that count the parts of an upload which begins now; undefined: nothing counts the bucket. */
export function countedBy(view: RowView, bucket: BucketRecord): readonly string[] | undefined {
  if (!isCounted(bucket)) return undefined
  const runs = usageParts().flatMap(part => part.runsOf(view, bucket))
  return runs.length === 0 ? undefined : runs
}

/** The changes of all counts, each once. Throws what features refuse: each decides on the sum. */
export function usageChanges(view: RowView, growths: readonly Growth[]): readonly UsageChange[] {
  if (growths.length === 0) return NO_CHANGES
  return decideEach(usageParts(), part => changesOf(part, view, growths)).flat()
}

function changesOf(part: UsagePart, view: RowView, growths: readonly Growth[]): readonly UsageChange[] {
  const counted = growths.filter(({ bucket }) => part.counts(bucket))
  return counted.length === 0 ? NO_CHANGES : part.changes(view, counted)
}

/** Returns the usage that is dropped with the record of a bucket. */
export const droppedUsage = (bucket: BucketRecord): readonly UsageChange[] =>
  bucketParts().flatMap(part => part.dropped?.(bucket) ?? [])
