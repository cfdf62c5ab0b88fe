/**
 * Admission: so many requests are served at once; those beyond wait for a place, first come first served.
 *
 * Turning a request away costs nearly as much as serving a small one, and a client that is told at once
 * comes back at once. Whoever waits holds its connection still instead: under more load than can be
 * served the processor goes on serving, and nobody asks twice.
 *
 * Refuses  `tooManyInFlight`: who has waited for `admissionWaitMs`, and who comes when `waitingMax` wait already.
 *          `stopping`: everybody, once `stop` has been called.
 */
import { fail, type Failure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import type { HttpLimits } from "./limits.js"

interface Waiting {
  readonly sinceMs: number
  /** Undefined: it has a place. */
  readonly go: (refusal: Failure | undefined) => void
}

export class Admission {
  private taken = 0
  private stopping = false
  /** In the order in which they came. */
  private readonly queue = new Set<Waiting>()
  private callOff: (() => void) | undefined

  constructor(
    private readonly clock: Clock,
    private readonly limits: Pick<HttpLimits, "inFlightMax" | "waitingMax" | "admissionWaitMs">,
  ) {}

  get inFlight(): number {
    return this.taken
  }

  get waiting(): number {
    return this.queue.size
  }

  /** Takes a place where one is free, without waiting. Whoever has one gives it back by `leave`. */
  enterAtOnce(): boolean {
    if (this.stopping || this.taken >= this.limits.inFlightMax) return false
    this.taken += 1
    return true
  }

  /** Waits for a place: resolves with undefined when it is taken, else with the refusal. */
  enter(): Promise<Failure | undefined> {
    if (this.stopping) return Promise.resolve(fail("stopping"))
    if (this.queue.size >= this.limits.waitingMax) return Promise.resolve(fail("tooManyInFlight"))
    return new Promise(resolve => {
      this.queue.add({ sinceMs: this.clock.monotonicMs(), go: resolve })
      this.watchFirst()
    })
  }

  /** Gives a place back: to the one who has waited longest. */
  leave(): void {
    const [first] = this.queue
    if (first === undefined) this.taken -= 1
    else this.release(first, undefined)
  }

  stop(): void {
    this.stopping = true
    for (const waiting of this.queue) this.release(waiting, fail("stopping"))
  }

  private release(waiting: Waiting, refusal: Failure | undefined): void {
    this.queue.delete(waiting)
    if (this.queue.size === 0) this.stopWatching()
    waiting.go(refusal)
  }

  /** One alarm for all: whoever came first has waited longest. */
  private watchFirst(): void {
    const [first] = this.queue
    if (first === undefined || this.callOff !== undefined) return
    const leftMs = first.sinceMs + this.limits.admissionWaitMs - this.clock.monotonicMs()
    this.callOff = this.clock.alarm(Math.max(leftMs, 1), () => {
      this.callOff = undefined
      this.refuseTheLate()
      this.watchFirst()
    })
  }

  private stopWatching(): void {
    this.callOff?.()
    this.callOff = undefined
  }

  private refuseTheLate(): void {
    const untilMs = this.clock.monotonicMs() - this.limits.admissionWaitMs
    for (const waiting of this.queue) {
      if (waiting.sinceMs > untilMs) return
      this.release(waiting, fail("tooManyInFlight"))
    }
  }
}
