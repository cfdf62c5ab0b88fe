/**
 * Reads on the serving thread, of small payloads that are in the page cache: the way through the thread
 * pool costs ten times the read itself.
 *
 * Promises  Where they take long they rest for a while: the pool reads meanwhile, and nobody else waits
 *           for a disk that has become slow. What fails reads as nothing: whoever waits meets it again.
 *           One read that takes some milliseconds says nothing of the disk: on a busy machine this
 *           thread was only not running.
 * Limits    `SLOW_MS` for one, `MEAN_MS_MAX` for the last fifty or so, `REST_MS`. That bytes are likely in
 *           memory is for the caller to know.
 */
import { isFailure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"

const SLOW_MS = 100
const MEAN_MS_MAX = 2
/** Of the latest read in the mean. */
const WEIGHT = 0.02
const REST_MS = 10_000

export class NowReads {
  private restsUntilMs = -Infinity
  private meanMs = 0

  constructor(private readonly clock: Clock) {}

  /** What `read` gives; undefined where it fails, and while none are allowed. */
  read<T>(read: () => T): T | undefined {
    const beganMs = this.clock.monotonicMs()
    if (beganMs < this.restsUntilMs) return undefined
    try {
      return read()
    } catch (error) {
      if (!isFailure(error)) throw error
      return undefined
    } finally {
      this.took(beganMs, this.clock.monotonicMs())
    }
  }

  private took(beganMs: number, endMs: number): void {
    const tookMs = endMs - beganMs
    this.meanMs += (tookMs - this.meanMs) * WEIGHT
    if (tookMs <= SLOW_MS && this.meanMs <= MEAN_MS_MAX) return
    this.restsUntilMs = endMs + REST_MS
    this.meanMs = 0
  }
}
