/**
 * Slots: how much of something may be in use at once. Who comes when all is in use waits its turn, or is refused.
 */
import { fail } from "../base/failures.js"

export interface Taken {
  /** Gives back all but so many; 0: all. What was given back stays so. */
  shrink(to: number): void
}

export class Slots {
  private used = 0
  private readonly queue: { readonly amount: number; readonly start: () => void }[] = []

  /** `waitingMax`: of those that wait; beyond, `tooManyInFlight` is thrown. */
  constructor(
    private readonly max: number,
    private readonly waitingMax: number,
    private readonly what: string,
  ) {}

  async take(amount = 1): Promise<Taken> {
    if (this.queue.length > 0 || this.used + amount > this.max) {
      if (this.queue.length >= this.waitingMax)
        throw fail("tooManyInFlight", { message: `The store has too many ${this.what} at once. Try again.` })
      await new Promise<void>(start => this.queue.push({ amount, start }))
    } else this.used += amount
    let taken = amount
    return {
      shrink: to => {
        const less = Math.max(0, taken - to)
        taken -= less
        this.giveBack(less)
      },
    }
  }

  private giveBack(amount: number): void {
    this.used -= amount
    for (let next = this.queue[0]; next !== undefined && this.used + next.amount <= this.max; next = this.queue[0]) {
      this.queue.shift()
      this.used += next.amount
      next.start()
    }
  }
}
