/**
 * Back-pressured source: the pieces of a body. It waits for a slow client as long as no other body needs the slab.
 *
 * Promises  A body fails with `requestTimeout` if its client sends less than `slowClientBytesPerSecondMin` over
 *           `slowClientWindowMs` while the body holds a slab and other bodies wait for one. Time that the server
 *           itself takes does not count, nor does time in which a limit of rates keeps the body waiting, nor time in
 *           which no other body waits.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { ClientPace } from "@hayloft/base/pace.js"
import type { Payer } from "@hayloft/base/places-core.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { SlabPool } from "@hayloft/base/seams/compute/contract.js"
import { BLOCK_LIMITS } from "./limits.js"

export class BackPressuredSource {
  private readonly pieces: AsyncIterator<Uint8Array>
  private readonly pace = new ClientPace(BLOCK_LIMITS.slowClientBytesPerSecondMin, BLOCK_LIMITS.slowClientWindowMs)
  /** Ends the wait for the next piece; set during a wait. */
  private giveUp: ((failure: Failure) => void) | undefined

  constructor(
    source: AsyncIterable<Uint8Array>,
    private readonly clock: Clock,
    private readonly slabs: SlabPool,
    private readonly payer: Payer,
  ) {
    this.pieces = source[Symbol.asyncIterator]()
  }

  /** The time, which stands still while a limit of rates keeps the body waiting. */
  private get clientMs(): number {
    return this.clock.monotonicMs() - this.payer.pausedMs
  }

  /** Rejects with the error of the source, or with `requestTimeout`. */
  async next(): Promise<IteratorResult<Uint8Array>> {
    this.pace.wait(this.clientMs)
    const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      this.giveUp = reject
      this.pieces.next().then(resolve, reject)
    })
    this.giveUp = undefined
    this.pace.rest(this.clientMs)
    if (next.done !== true) this.pace.moved(next.value.length)
    return next
  }

  /** Checks the client's pace until the returned function is called. */
  watch(holdsSlab: () => boolean): () => void {
    const check = (): void => {
      const nowMs = this.clientMs
      if (this.slabs.waiting === 0 || !holdsSlab()) this.pace.restart(nowMs)
      else if (this.pace.isTooSlow(nowMs)) this.giveUp?.(fail("requestTimeout"))
      callOff = this.clock.alarm(BLOCK_LIMITS.slowClientCheckMs, check)
    }
    let callOff = this.clock.alarm(BLOCK_LIMITS.slowClientCheckMs, check)
    return () => callOff()
  }

  /** Ends the source. If a piece is still awaited, the source ends when its client does. */
  async close(): Promise<void> {
    const ended = this.pieces.return?.()
    if (this.giveUp === undefined) await ended
    else ended?.catch(() => undefined)
  }
}
