/**
 * Rest: the pause of a service or job until its time has come, or until there is work.
 *
 * Promises  A rest ends at its time, at the signal, or at `wake`, whichever comes first. After a `wake` without a rest the
 *           next one ends in the next turn, so that none is missed.
 */
import type { Clock } from "../seams/clock/contract.js"

export class Rest {
  private isWoken = false
  private end = (): void => undefined

  constructor(private readonly clock: Pick<Clock, "alarm">) {}

  wake(): void {
    this.isWoken = true
    this.end()
  }

  /** Forgets a `wake`: what it has announced is about to be done. */
  forget(): void {
    this.isWoken = false
  }

  /** Resolves with true if the rest was ended by `wake`. */
  async until(durationMs: number, signal: AbortSignal): Promise<boolean> {
    if (!signal.aborted) await this.pause(this.isWoken ? 0 : durationMs, signal)
    const { isWoken } = this
    this.isWoken = false
    return isWoken
  }

  private pause(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      this.end = () => {
        cancel()
        signal.removeEventListener("abort", this.end)
        this.end = () => undefined
        resolve()
      }
      const cancel = this.clock.alarm(durationMs, () => this.end())
      signal.addEventListener("abort", this.end)
    })
  }
}
