/**
 * The store's clock: the time by which locks end.
 *
 * Promises  It never goes backwards, in no process and across restarts, and while a process of the store is running it is
 *           never faster than time itself, whatever the wall clocks do. It may lag: then locks last longer.
 */
import type { Clock } from "../seams/clock/contract.js"

export class StoreClock {
  /** What the clock showed at a moment of the monotonic clock. */
  private known = { storeMs: 0, atMs: 0 }

  constructor(private readonly clock: Clock) {}

  /** 0 until the clock has been read for the first time. */
  nowMs(): number {
    const { storeMs, atMs } = this.known
    return storeMs === 0 ? 0 : storeMs + Math.floor(this.clock.monotonicMs() - atMs)
  }
}
