/**
 * Patient source: the pieces of a body, waited for as long as nobody else needs what the body holds.
 *
 * Promises  A client that brings less than `slowClientBytesPerSecondMin` over `slowClientWindowMs` of
 *           waiting for it, while its body holds a slab and others wait for one, fails its body with
 *           `requestTimeout`. Time in which we are the slow ones does not count, nor does any in which
 *           nobody waits.
 */
import { fail, type Failure } from "../base/failures.js"
import { Pace } from "../base/pace.js"
import type { Clock } from "../seams/clock/contract.js"
import type { SlabPool } from "../seams/compute/contract.js"
import { BLOCK_LIMITS } from "./limits.js"

export class BackPressuredSource {
  private readonly pieces: AsyncIterator<Uint8Array>
  private readonly pace = new Pace(BLOCK_LIMITS.slowClientBytesPerSecondMin, BLOCK_LIMITS.slowClientWindowMs)
  /** Ends the wait for the next piece; set while there is one. */
  private giveUp: ((failure: Failure) => void) | undefined

  constructor(
    source: AsyncIterable<Uint8Array>,
    private readonly clock: Clock,
    private readonly slabs: SlabPool,
  ) {
    this.pieces = source[Symbol.asyncIterator]()
  }

  /** Rejects with what the source throws, and `requestTimeout`. */
  async next(): Promise<IteratorResult<Uint8Array>> {
    this.pace.wait(this.clock.monotonicMs())
    const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      this.giveUp = reject
      this.pieces.next().then(resolve, reject)
    })
    this.giveUp = undefined
    this.pace.rest(this.clock.monotonicMs())
    if (next.done !== true) this.pace.moved(next.value.length)
    return next
  }

  /** Looks after the client until what it returns is called. */
  watch(holdsSlab: () => boolean): () => void {
    const check = (): void => {
      const nowMs = this.clock.monotonicMs()
      if (this.slabs.waiting === 0 || !holdsSlab()) this.pace.restart(nowMs)
      else if (this.pace.isTooSlow(nowMs)) this.giveUp?.(fail("requestTimeout"))
      callOff = this.clock.alarm(BLOCK_LIMITS.slowClientCheckMs, check)
    }
    let callOff = this.clock.alarm(BLOCK_LIMITS.slowClientCheckMs, check)
    return () => callOff()
  }

  /** Ends the source. One that is still being waited for ends when its client does. */
  async close(): Promise<void> {
    const ended = this.pieces.return?.()
    if (this.giveUp === undefined) await ended
    else ended?.catch(() => undefined)
  }
}
