/**
 * Reads on the serving thread, of small payloads that are in the page cache: the way through the thread
 * pool costs ten times the read itself.
 *
 * Promises  One that took long ends them for a while: the pool reads meanwhile, and nobody else waits
 *           for a disk that has become slow. What fails reads as nothing: whoever waits meets it again.
 * Limits    `SLOW_MS`, `REST_MS`. That bytes are likely in memory is for the caller to know.
 */
import { isFailure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"

const SLOW_MS = 5
const REST_MS = 10_000

export class NowReads {
  private restsUntilMs = -Infinity

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
      const endMs = this.clock.monotonicMs()
      if (endMs - beganMs > SLOW_MS) this.restsUntilMs = endMs + REST_MS
    }
  }
}
