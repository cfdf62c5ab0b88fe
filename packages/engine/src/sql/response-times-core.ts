/**
 * Response times of the last minutes: how many statements were answered, how long half of them took, and 99 of 100. Pure.
 *
 * Limits    One counter for each of `BUCKETS` durations in each of `SLICES` slices of time, however many statements there
 *           are. A duration is rounded up by a fifth at most.
 */
import type { ResponseTimes } from "../format/nodes/database-health.js"

const SLICE_MS = 60_000
const SLICES = 5
const BUCKETS = 80
const SHORTEST_MS = 0.1
const BUCKETS_OF_DOUBLE = 4

const bucketOf = (durationMs: number): number =>
  Math.min(BUCKETS - 1, Math.max(0, Math.ceil(BUCKETS_OF_DOUBLE * Math.log2(durationMs / SHORTEST_MS))))
const longestOf = (bucket: number): number => SHORTEST_MS * 2 ** (bucket / BUCKETS_OF_DOUBLE)

export class RecentTimes {
  private readonly slices = Array.from({ length: SLICES }, () => ({ number: -1, counts: new Uint32Array(BUCKETS) }))

  add(nowMs: number, durationMs: number): void {
    const number = Math.floor(nowMs / SLICE_MS)
    const slice = this.slices[number % SLICES]
    if (slice === undefined) return
    if (slice.number !== number) {
      slice.number = number
      slice.counts.fill(0)
    }
    const bucket = bucketOf(durationMs)
    slice.counts[bucket] = (slice.counts[bucket] ?? 0) + 1
  }

  /** Returns undefined if nothing was answered lately. */
  summary(nowMs: number): ResponseTimes | undefined {
    const newest = Math.floor(nowMs / SLICE_MS)
    const recent = this.slices.filter(({ number }) => number > newest - SLICES && number <= newest)
    const counts = Array.from({ length: BUCKETS }, (_, bucket) =>
      recent.reduce((sum, slice) => sum + (slice.counts[bucket] ?? 0), 0),
    )
    const count = counts.reduce((sum, each) => sum + each, 0)
    if (count === 0) return undefined
    return { count, medianMs: longestAmong(counts, count / 2), slowMs: longestAmong(counts, 0.99 * count) }
  }
}

/** The duration that so many did not exceed. */
function longestAmong(counts: readonly number[], share: number): number {
  let below = 0
  const bucket = counts.findIndex(count => (below += count) >= share)
  return longestOf(bucket)
}
