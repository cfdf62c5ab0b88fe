/**
 * Slices of turns of the event loop: how long the bodies of all responses together may occupy one turn.
 *
 * A client's buffers take megabytes of a response before the server has to wait for it, and what is read from memory does not
 * wait either. The responses of hundreds of readers that begin together would occupy the thread for seconds, and a connection
 * that is made meanwhile would not be read until then.
 *
 * Promises  Once a turn has lasted for `SLICE_MS`, what goes on does so in a later turn, in the order of asking; what has arrived is
 *           read in between. While many connections wait to be accepted, all wait. A turn that is not long costs no wait.
 * Limits    `SLICE_MS`, and `RESUMED_MAX` waits that end in one turn.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { AcceptRuns } from "./accept-runs.js"

const SLICE_MS = 4
const RESUMED_MAX = 64

export class TurnSlices {
  private beganMs: number | undefined
  private readonly waiting = new Set<() => void>()
  private isResuming = false

  constructor(
    private readonly clock: Pick<Clock, "atEndOfTurn" | "monotonicMs">,
    private readonly accepts: Pick<AcceptRuns, "holds">,
  ) {}

  /** Returns undefined if the caller may go on now. */
  next(): Promise<void> | undefined {
    if (this.waiting.size === 0 && !this.isOver()) return undefined
    return new Promise(resolve => {
      this.waiting.add(resolve)
      this.resumeSoon()
    })
  }

  /** The present turn has lasted for longer than a slice. */
  private isOver(): boolean {
    const nowMs = this.clock.monotonicMs()
    if (this.beganMs === undefined) {
      this.beganMs = nowMs
      this.clock.atEndOfTurn(() => {
        this.beganMs = undefined
      })
    }
    return nowMs - this.beganMs > SLICE_MS || this.accepts.holds(nowMs)
  }

  private resumeSoon(): void {
    if (this.isResuming) return
    this.isResuming = true
    this.clock.atEndOfTurn(() => this.resume())
  }

  /** Promises go on after each call at the end of a turn: so the time of each is known before the next one. */
  private resume(): void {
    if (this.accepts.holds(this.clock.monotonicMs())) return void this.clock.atEndOfTurn(() => this.resume())
    const calls = Math.min(this.waiting.size, RESUMED_MAX)
    let endMs: number | undefined
    const resumeOne = (): void => {
      const nowMs = this.clock.monotonicMs()
      // Anything that arrived before the first call was read before it.
      endMs ??= nowMs + SLICE_MS
      const [first] = this.waiting
      if (first === undefined || nowMs > endMs) return
      this.waiting.delete(first)
      first()
    }
    for (let i = 0; i < calls; i += 1) this.clock.atEndOfTurn(resumeOne)
    this.clock.atEndOfTurn(() => {
      this.isResuming = false
      if (this.waiting.size > 0) this.resumeSoon()
    })
  }
}
