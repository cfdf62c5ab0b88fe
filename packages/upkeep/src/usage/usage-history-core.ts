/**
 * How much buckets have held over time: which samples stay, and the rows that have them. Pure.
 *
 * Promises  A bucket's history says what it held at each full hour of the last week, and at the end of each day of the last
 *           400. A sample that equals the one before it is left out: that one still holds. Before the first one the bucket
 *           was empty, or was not noted.
 * Limits    `HISTORY_SAMPLES_MAX` samples of a bucket.
 */
import type { BucketId } from "@hayloft/base/ids.js"
import {
  decodeUsageHistory,
  encodeUsageHistory,
  usageHistoryRowKey,
  type UsageSample,
} from "@hayloft/engine/format/objects/usage-history.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type CommandView } from "@hayloft/engine/metadata/index.js"
import { bucketOfRow } from "@hayloft/objects/door/rows.js"

export const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const HOURLY_DAYS = 7
const DAILY_DAYS = 400
/** The samples of each hour of a week and of each day, and the one that holds at their beginning. */
export const HISTORY_SAMPLES_MAX = HOURLY_DAYS * 24 + DAILY_DAYS + 3

/** A sample is noted within its hour: one that is dated so long before is that of a clock that is behind. */
const BEHIND_MS = 2 * HOUR_MS

const NOTHING: UsageSample = { atMs: -HOUR_MS, objects: 0, bytes: 0 }

const hourOf = (atMs: number): number => Math.floor(atMs / HOUR_MS)
const dayOf = (atMs: number): number => Math.floor(atMs / DAY_MS)

/**
 * Returns undefined if nothing changes. There is one sample an hour; those of a clock that was ahead are dropped. `dueMs`: the
 * time by which samples are old, which does not follow a clock that is ahead.
 */
export function withSample(
  samples: readonly UsageSample[],
  sample: UsageSample,
  dueMs = sample.atMs,
): readonly UsageSample[] | undefined {
  const past = samples.filter(({ atMs }) => hourOf(atMs) <= hourOf(sample.atMs))
  const last = past.at(-1) ?? NOTHING
  const isKnown =
    hourOf(last.atMs) === hourOf(sample.atMs) || (last.objects === sample.objects && last.bytes === sample.bytes)
  if (isKnown) return past.length === samples.length ? undefined : past
  const all = [...past, sample]
  const kept = thinned(all, Math.min(dueMs, sample.atMs))
  return kept.length > HISTORY_SAMPLES_MAX ? thinned(all, sample.atMs) : kept
}

function thinned(samples: readonly UsageSample[], nowMs: number): readonly UsageSample[] {
  const [hourlyFromMs, dailyFromDay] = [nowMs - HOURLY_DAYS * DAY_MS, dayOf(nowMs) - DAILY_DAYS]
  return samples.filter(({ atMs }, at) => {
    const next = samples[at + 1]
    if (next === undefined || next.atMs > hourlyFromMs) return true
    return dayOf(atMs) !== dayOf(next.atMs) && dayOf(next.atMs) > dailyFromDay
  })
}

interface BucketUsageSample extends UsageSample {
  readonly bucketId: BucketId
}

/**
 * Adds a sample to each bucket that there is, unless the clock of the process is behind: that would drop later ones. Returns
 * those whose history says something else: of this hour it had one. `dueMs`: see `withSample`.
 */
export const noteUsage = command<[samples: readonly BucketUsageSample[], dueMs: number], readonly BucketId[]>({
  name: "NoteUsage",
  touches: samples => samples.map(({ bucketId }) => ["usageHistory", usageHistoryRowKey(bucketId)] as const),
  decide(view, { nowMs }, samples, dueMs) {
    if (samples.some(({ atMs }) => nowMs - atMs > BEHIND_MS))
      return { writes: [], result: samples.map(({ bucketId }) => bucketId) }
    const noted = samples.map(sample => ({ sample, samples: samplesOf(view, sample.bucketId) }))
    const writes = noted.flatMap(({ sample: { bucketId, ...sample }, samples: before }) => {
      const after = before && withSample(before, sample, dueMs)
      const key = usageHistoryRowKey(bucketId)
      return after === undefined ? [] : [{ family: "usageHistory" as const, key, value: encodeUsageHistory(after) }]
    })
    const others = noted.filter(({ sample, samples: before }) => before !== undefined && !isNoted(before, sample))
    return { writes, result: others.map(({ sample: { bucketId } }) => bucketId) }
  },
})

/** Returns undefined if there is no such bucket. */
function samplesOf(view: CommandView, bucketId: BucketId): readonly UsageSample[] | undefined {
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  if (bucket === undefined || bucketOfRow(bucket).state !== "open") return undefined
  const row = view.ifPresent("usageHistory", usageHistoryRowKey(bucketId))
  return row === undefined ? [] : decodeUsageHistory(row.value)
}

function isNoted(before: readonly UsageSample[], sample: UsageSample): boolean {
  const last = (withSample(before, sample) ?? before).at(-1) ?? NOTHING
  return last.objects === sample.objects && last.bytes === sample.bytes
}

/** The oldest sample first. */
export const readUsageHistory = query("ReadUsageHistory", (view, bucketId: BucketId): readonly UsageSample[] => {
  const row = view.get("usageHistory", usageHistoryRowKey(bucketId))
  return row === undefined ? [] : decodeUsageHistory(row.value)
})
