/**
 * One a turn: spreads work that blocks the thread for milliseconds over turns of the event loop, so that other
 * work runs in between.
 *
 * Promises  First come, first served. The first piece of work in a turn does not wait.
 * Limits    `waitingMax`; beyond it, `tooManyInFlight`.
 */
import { fail } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"

/** Resolves in a later turn of the event loop: for work that has blocked the thread for milliseconds and continues. */
export const laterTurn = (clock: Clock): Promise<void> => new Promise(resolve => clock.atEndOfTurn(resolve))

export class OneATurn {
  private readonly waiting: (() => void)[] = []
  private isTaken = false

  constructor(
    private readonly clock: Clock,
    private readonly waitingMax: number,
  ) {}

  /** Resolves when it is the caller's turn. Throws `tooManyInFlight`. */
  async turn(): Promise<void> {
    if (!this.isTaken) return this.take()
    if (this.waiting.length >= this.waitingMax) throw fail("tooManyInFlight")
    await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  private take(): void {
    this.isTaken = true
    // A timer would fire after a millisecond at the earliest.
    this.clock.atEndOfTurn(() => {
      this.isTaken = false
      const next = this.waiting.shift()
      if (next === undefined) return
      this.take()
      next()
    })
  }
}
