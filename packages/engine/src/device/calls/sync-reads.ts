/**
 * Sync reads: reads on the serving thread, of few bytes that are in the page cache. Handing a read to the thread pool
 * costs ten times the read itself.
 *
 * Promises  After slow reads the serving thread makes none for a while: the pool reads meanwhile, and no request waits
 *           for a disk that has become slow. A read that fails returns undefined: the caller reads again through the
 *           pool, and gets the failure there. A single read of some milliseconds proves nothing about the disk: on a
 *           busy machine this thread may have been waiting for the processor.
 * Limits    `SLOW_MS` for one read, `MEAN_MS_MAX` for the last fifty or so, `REST_MS`. The caller chooses bytes that
 *           are likely in memory.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

const SLOW_MS = 100
const MEAN_MS_MAX = 2
/** Weight of the latest read in the mean. */
const WEIGHT = 0.02
const REST_MS = 10_000

export class SyncReads {
  private restsUntilMs = -Infinity
  private meanMs = 0

  constructor(private readonly clock: Clock) {}

  /** Returns the result of `read`; undefined if it fails, and while sync reads are not allowed. */
  read<T>(read: () => T): T | undefined {
    const beganMs = this.clock.monotonicMs()
    if (beganMs < this.restsUntilMs) return undefined
    try {
      return unlessFailed(read)
    } finally {
      this.took(beganMs, this.clock.monotonicMs())
    }
  }

  /** The same for what reads nothing: the time that it takes says nothing about the disk. */
  lookUp<T>(lookUp: () => T): T | undefined {
    return this.clock.monotonicMs() < this.restsUntilMs ? undefined : unlessFailed(lookUp)
  }

  private took(beganMs: number, endMs: number): void {
    const tookMs = endMs - beganMs
    this.meanMs += (tookMs - this.meanMs) * WEIGHT
    if (tookMs <= SLOW_MS && this.meanMs <= MEAN_MS_MAX) return
    this.restsUntilMs = endMs + REST_MS
    this.meanMs = 0
  }
}

function unlessFailed<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    if (!isFailure(error)) throw error
    return undefined
  }
}
