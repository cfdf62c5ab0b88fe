/**
 * One a turn: pieces of work that each hold the thread for milliseconds take turns, so that between two of
 * them everybody else gets one.
 *
 * Promises  First come, first served. The first does not wait where none was begun in this turn.
 * Limits    `waitingMax`; beyond, `tooManyInFlight`.
 */
import { fail } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"

/** Resolves in a later turn of the event loop: for whoever has held the thread for milliseconds and goes on. */
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
    // Not by a timer, which fires after a millisecond at the earliest.
    this.clock.atEndOfTurn(() => {
      this.isTaken = false
      const next = this.waiting.shift()
      if (next === undefined) return
      this.take()
      next()
    })
  }
}
