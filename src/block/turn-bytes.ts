/**
 * Turn bytes: limits the bytes handed out in one turn of the event loop; further requests wait for the next turns,
 * first come, first served. Without the limit, bytes in memory are sent to ready sockets without the turn ending: a
 * thousand readers then delayed every other request for seconds.
 */
import type { Clock } from "../seams/clock/contract.js"

export class TurnBytes {
  private remaining: number
  private isOver = true
  private waiting: { readonly bytes: number; readonly go: () => void }[] = []

  constructor(
    private readonly clock: Pick<Clock, "atEndOfTurn">,
    private readonly bytesMax: number,
  ) {
    this.remaining = bytesMax
  }

  /** Takes bytes of this turn; returns a promise if the caller must wait for a later turn. */
  take(bytes: number): Promise<void> | undefined {
    if (this.isOver) {
      this.isOver = false
      this.clock.atEndOfTurn(this.next)
    }
    if (this.remaining > 0) {
      this.remaining -= bytes
      return undefined
    }
    return new Promise(go => this.waiting.push({ bytes, go }))
  }

  private readonly next = (): void => {
    this.remaining = this.bytesMax
    let count = 0
    for (; count < this.waiting.length && this.remaining > 0; count += 1)
      this.remaining -= this.waiting[count]?.bytes ?? 0
    this.isOver = count === 0
    if (!this.isOver) this.clock.atEndOfTurn(this.next)
    for (const { go } of this.waiting.splice(0, count)) go()
  }
}
