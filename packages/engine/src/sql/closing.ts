/**
 * Closing of moments in a database: reads of one moment, and of all before, share one statement.
 *
 * A statement that closes a moment makes batches of all processes that were decided with an earlier timestamp lose a race, and
 * waits for their commits. So there is one at a time, and it closes all moments that waiting reads request.
 *
 * Limits  SQL_LIMITS.closeEveryMs.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SQL_LIMITS } from "./limits.js"

interface WaitingRead {
  /** It is undefined for the present moment. */
  readonly us: number | undefined
  readonly resolve: (us: number) => void
  readonly reject: (failure: unknown) => void
}

/** The statement closes the present moment, which is earlier. */
const PRESENT = Number.MAX_SAFE_INTEGER

export class Closing {
  /** Everything up to this moment is closed. */
  private closedUs = 0
  private waiting: WaitingRead[] = []
  private running: Promise<void> | undefined

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs" | "sleep">,
    private readonly signal: AbortSignal,
    /** Closes a moment, or the present one if that is earlier, and returns it. */
    private readonly close: (us: number) => Promise<number>,
  ) {}

  /** Closes the moment, or the present one. Throws `invalidArgument` for one in the future, and what `close` throws. */
  closeTo(us?: number): Promise<number> {
    if (us !== undefined && us <= this.closedUs) return Promise.resolve(us)
    return new Promise((resolve, reject) => {
      this.waiting.push({ us, resolve, reject })
      this.running ??= this.work()
    })
  }

  private async work(): Promise<void> {
    // Reads of the same turn share the first statement.
    await Promise.resolve()
    while (this.waiting.length > 0) {
      const startedMs = this.clock.monotonicMs()
      await this.closeFor(this.waiting.splice(0))
      if (this.waiting.length === 0) break
      await this.clock.sleep(startedMs + SQL_LIMITS.closeEveryMs - this.clock.monotonicMs(), this.signal)
    }
    this.running = undefined
  }

  /** Never rejects. */
  private async closeFor(reads: readonly WaitingRead[]): Promise<void> {
    try {
      const closedUs = await this.close(Math.max(...reads.map(({ us = PRESENT }) => us)))
      this.closedUs = Math.max(this.closedUs, closedUs)
      for (const { us, resolve, reject } of reads) {
        if (us === undefined) resolve(closedUs)
        else if (us <= closedUs) resolve(us)
        else reject(fail("invalidArgument", { message: "the moment is in the future", us, latest: closedUs }))
      }
    } catch (error) {
      for (const { reject } of reads) reject(asFailure(error))
    }
  }
}
