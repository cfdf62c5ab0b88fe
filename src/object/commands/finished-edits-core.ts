/**
 * Combines the changes of object editors into one decision: their writes, and the sums for counters and quotas. Pure.
 */
import type { BucketId } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import { addCounters, NO_COUNTS, type Counters } from "../../format/records.js"
import type { CommandView, CounterChange, UsageChange } from "../../metadata/index.js"
import { historyWrites, type HistoryOfKey } from "./history-core.js"
import { keptChange, usageChanges, type Growth } from "./usage-core.js"

/** The change that a decision makes to the objects and bytes that undelete keeps of the bucket. */
export interface Kept {
  readonly objects: number
  readonly bytes: number
}

export const NOTHING_KEPT: Kept = { objects: 0, bytes: 0 }

/** The changes of one editor. */
export interface FinishedEditor {
  readonly bucketId: BucketId
  readonly writes: readonly EntryWrite[]
  readonly change: Counters
  /** It is undefined if no quota counts the change. */
  readonly growth: Growth | undefined
  readonly kept: Kept
  readonly history: HistoryOfKey
}

export interface Finished {
  readonly writes: readonly EntryWrite[]
  readonly counts: readonly CounterChange[]
  readonly usage: readonly UsageChange[]
}

const NO_USAGE_CHANGES: readonly UsageChange[] = []

/** Throws `quotaExceeded`. */
export function finishedAlone(view: CommandView, editor: FinishedEditor): Finished {
  const { bucketId, change, growth, kept, history } = editor
  const ofQuotas = growth === undefined ? NO_USAGE_CHANGES : usageChanges(view, [growth])
  const usage = kept === NOTHING_KEPT ? ofQuotas : [...ofQuotas, keptChange(bucketId, kept.objects, kept.bytes)]
  const ofHistory = historyWrites(view, [history])
  const writes = ofHistory.length === 0 ? editor.writes : [...editor.writes, ...ofHistory]
  return { writes, counts: [{ bucketId, change }], usage }
}

/** Each bucket and each count gets the sum. Throws `quotaExceeded`. */
export function finishedTogether(view: CommandView, editors: readonly FinishedEditor[]): Finished {
  const counters = new Map<BucketId, Counters>()
  const kept = new Map<BucketId, Kept>()
  for (const { bucketId, change, kept: own } of editors) {
    counters.set(bucketId, addCounters(counters.get(bucketId) ?? NO_COUNTS, change))
    const { objects, bytes } = kept.get(bucketId) ?? NOTHING_KEPT
    kept.set(bucketId, { objects: objects + own.objects, bytes: bytes + own.bytes })
  }
  const ofQuotas = usageChanges(
    view,
    editors.flatMap(({ growth }) => (growth === undefined ? [] : [growth])),
  )
  const ofKept = [...kept].flatMap(([bucketId, { objects, bytes }]) =>
    objects === 0 && bytes === 0 ? [] : [keptChange(bucketId, objects, bytes)],
  )
  const ofHistory = historyWrites(
    view,
    editors.map(({ history }) => history),
  )
  return {
    writes: [...editors.flatMap(({ writes }) => writes), ...ofHistory],
    counts: [...counters].map(([bucketId, change]) => ({ bucketId, change })),
    usage: [...ofQuotas, ...ofKept],
  }
}
