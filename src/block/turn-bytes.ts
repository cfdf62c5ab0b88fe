/**
 * Turn bytes: so many bytes are handed out in one turn of the event loop, whoever asks; more wait for the next turns,
 * first come first served. Bytes that are in memory, for sockets that take them, are otherwise sent without a turn
 * ending: a thousand readers then held up every other request for seconds.
 */
import type { Clock } from "../seams/clock/contract.js"

export class TurnBytes {
  private left: number
  private isOver = true
  private waiting: { readonly bytes: number; readonly go: () => void }[] = []

  constructor(
    private readonly clock: Pick<Clock, "atEndOfTurn">,
    private readonly bytesMax: number,
  ) {
    this.left = bytesMax
  }

  /** Takes bytes of this turn; a promise where those of a later one have to be waited for. */
  take(bytes: number): Promise<void> | undefined {
    if (this.isOver) {
      this.isOver = false
      this.clock.atEndOfTurn(this.next)
    }
    if (this.left > 0) {
      this.left -= bytes
      return undefined
    }
    return new Promise(go => this.waiting.push({ bytes, go }))
  }

  private readonly next = (): void => {
    this.left = this.bytesMax
    let count = 0
    for (; count < this.waiting.length && this.left > 0; count += 1) this.left -= this.waiting[count]?.bytes ?? 0
    this.isOver = count === 0
    if (!this.isOver) this.clock.atEndOfTurn(this.next)
    for (const { go } of this.waiting.splice(0, count)) go()
  }
}
