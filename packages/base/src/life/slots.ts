/**
 * Slots: a bound on concurrent work. If all slots are taken, a caller waits its turn for a limited time, or is rejected.
 */
import { fail, type Failure } from "../failures.js"
import type { Clock } from "../seams/clock/contract.js"

export const tooMany = (what: string): Failure =>
  fail("tooManyInFlight", { message: `The store has too many ${what} at once. Try again.` })

export class Slots {
  private used = 0
  private readonly queue = new Set<() => void>()

  /** `waitingMax`: of those that wait, at most for `waitMs`; beyond, `tooManyInFlight` is thrown. */
  constructor(
    private readonly clock: Clock,
    private readonly max: number,
    private readonly waitingMax: number,
    private readonly waitMs: number,
    private readonly what: string,
  ) {}

  get isFull(): boolean {
    return this.used >= this.max
  }

  /** `signal` ends the wait. @returns the function that gives the slot back; further calls of it do nothing. */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.isFull) await this.turn(signal)
    else this.used += 1
    let isTaken = true
    return () => {
      if (isTaken) this.giveBack()
      isTaken = false
    }
  }

  private async turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.queue.size >= this.waitingMax) throw tooMany(this.what)
    await new Promise<void>((resolve, reject) => {
      const over = (): void => {
        cancel()
        signal?.removeEventListener("abort", leave)
      }
      const start = (): void => {
        over()
        resolve()
      }
      const leave = (): void => {
        over()
        this.queue.delete(start)
        reject(signal?.reason)
      }
      this.queue.add(start)
      signal?.addEventListener("abort", leave, { once: true })
      const cancel = this.clock.alarm(this.waitMs, () => {
        over()
        this.queue.delete(start)
        reject(tooMany(this.what))
      })
    })
  }

  /** The next one that waits gets the slot. */
  private giveBack(): void {
    const [next] = this.queue
    if (next === undefined) this.used -= 1
    else {
      this.queue.delete(next)
      next()
    }
  }
}
