/**
 * Read times: the durations of recent shard reads, and the threshold beyond which a read is slow.
 */
import { BLOCK_LIMITS } from "./limits.js"

export class ReadTimes {
  private readonly recent = new Float64Array(BLOCK_LIMITS.readTimesKept)
  private count = 0
  private limit: number = BLOCK_LIMITS.slowReadMsMin

  /** A read that took longer than this is slow. */
  get slowMs(): number {
    return this.limit
  }

  /** Notes a completed read. */
  note(durationMs: number): void {
    const { readTimesKept, slowReadMsMin, slowReadMsMax, slowReadTimes } = BLOCK_LIMITS
    this.recent[this.count % readTimesKept] = durationMs
    this.count += 1
    if (this.count % (readTimesKept / 4) !== 0) return
    const sorted = this.recent.slice(0, Math.min(this.count, readTimesKept)).sort()
    const p95 = sorted[Math.floor(sorted.length * 0.95)] ?? 0
    this.limit = Math.min(Math.max(slowReadTimes * p95, slowReadMsMin), slowReadMsMax)
  }
}
