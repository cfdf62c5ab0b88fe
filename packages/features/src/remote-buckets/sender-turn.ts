/**
 * The turn of a process as the one that sends to other stores: it ends when the process has lost the lease.
 *
 * Promises  A turn that is over stays so, also if the process gets the lease again: another one may have been the sender in between.
 *           Its signal fires within `senderLookMs` of the loss. That is before another process may take the lease, unless this one
 *           was stopped meanwhile.
 */
import { fail } from "@hayloft/base/failures.js"
import { FirstAbort } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { REMOTE_LIMITS } from "./limits.js"

export class SenderTurn {
  private readonly ended: FirstAbort
  private cancel = (): void => undefined

  /** The caller ends the turn. */
  constructor(
    private readonly clock: Pick<Clock, "alarm">,
    stop: AbortSignal,
    private readonly isSender: () => boolean,
  ) {
    this.ended = new FirstAbort([stop])
    this.watch()
  }

  get signal(): AbortSignal {
    return this.ended.signal
  }

  private watch(): void {
    if (!this.isOver) this.cancel = this.clock.alarm(REMOTE_LIMITS.senderLookMs, () => this.watch())
  }

  /** It looks at the lease itself, so that nothing is begun after the loss. */
  get isOver(): boolean {
    if (!this.isSender()) this.ended.abort(LOST)
    return this.signal.aborted
  }

  /** Throws `stopping` if another process may be the sender: then it sends what this one has sent, too. */
  check(): void {
    if (this.isOver) throw LOST
  }

  end(): void {
    this.cancel()
    this.ended.release()
  }
}

const LOST = fail("stopping", { reason: "another process sends to other stores now" })
