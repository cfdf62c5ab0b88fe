/**
 * Admission: a limited number of requests is served concurrently; the others wait for a place, in the order that
 * `admission-core.ts` decides.
 *
 * Rejecting a request costs nearly as much as serving a small one, and a client that is rejected immediately retries
 * immediately. A waiting request keeps its connection quiet instead: under overload the server spends its
 * processor time on serving, and clients do not retry.
 *
 * Refuses  `tooManyInFlight`: requests that have waited for `admissionWaitMs`, and requests rejected because more than
 *          `waitingMax` wait. `stopping`: every request, once `stop` has been called.
 */
import { fail, type Failure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import { Places, type Party, type ShareLimits } from "./admission-core.js"
import type { HttpLimits } from "./limits.js"

interface Waiting {
  readonly sinceMs: number
  /** Called with the refusal, or with undefined once the request has a place. */
  readonly go: (refusal: Failure | undefined) => void
}

/** A request that has a place, or is parked: it gave its place back while it waits for its client. */
interface Placed {
  hasPlace: boolean
  /** Undefined if the request took its place while places were plentiful. */
  party: Party | undefined
  /** The request has given its place back until its client continues. */
  isParked: boolean
}

export class Admission {
  private stopping = false
  private readonly places: Places<Waiting>
  private cancelAlarm: (() => void) | undefined

  constructor(
    private readonly clock: Clock,
    private readonly limits: ShareLimits & Pick<HttpLimits, "admissionWaitMs">,
  ) {
    this.places = new Places(limits)
  }

  get inFlight(): number {
    return this.places.taken
  }

  get waiting(): number {
    return this.places.queued
  }

  /** Takes a place if one is free, without waiting. `leave` gives it back. */
  tryEnter(placed: Placed, partyOf: () => Party): boolean {
    if (this.stopping) return false
    if (this.places.isPlenty) this.places.take(undefined)
    else {
      const party = partyOf()
      placed.party = party
      if (!this.places.enter(party)) return false
    }
    placed.hasPlace = true
    return true
  }

  /** Waits for a place, after `tryEnter` found none: resolves with undefined once it has one, else with the refusal. */
  async enter(placed: Placed): Promise<Failure | undefined> {
    const { party } = placed
    if (this.stopping || party === undefined) return fail("stopping")
    const refusal = await new Promise<Failure | undefined>(go => {
      const rejected = this.places.wait({ sinceMs: this.clock.monotonicMs(), go }, party)
      rejected?.go(fail("tooManyInFlight"))
      this.watchFirst()
    })
    placed.hasPlace = refusal === undefined
    return refusal
  }

  /** Gives the place back, if there is one, to the next waiting request; the exchange is done. */
  leave(placed: Placed): void {
    placed.isParked = false
    this.giveBack(placed)
  }

  /** Gives the place back while the server waits for the client. */
  park(placed: Placed): void {
    placed.isParked ||= placed.hasPlace
    this.giveBack(placed)
  }

  private giveBack(placed: Placed): void {
    if (!placed.hasPlace) return
    placed.hasPlace = false
    for (const { go } of this.places.leave(placed.party)) go(undefined)
    this.stopWatching()
  }

  /** Takes the place again that `park` gave back. Never waits: other requests may wait for what this one holds. */
  resume(placed: Placed): void {
    if (!placed.isParked) return
    placed.isParked = false
    this.places.take(placed.party)
    placed.hasPlace = true
  }

  stop(): void {
    this.stopping = true
    for (const waiting of this.places.queue) this.refuse(waiting, fail("stopping"))
  }

  private refuse(waiting: Waiting, refusal: Failure): void {
    this.places.drop(waiting)
    this.stopWatching()
    waiting.go(refusal)
  }

  /** One alarm for all: the first in the queue has waited longest. */
  private watchFirst(): void {
    const [first] = this.places.queue
    if (first === undefined || this.cancelAlarm !== undefined) return
    const remainingMs = first.sinceMs + this.limits.admissionWaitMs - this.clock.monotonicMs()
    this.cancelAlarm = this.clock.alarm(Math.max(remainingMs, 1), () => {
      this.cancelAlarm = undefined
      this.refuseExpired()
      this.watchFirst()
    })
  }

  private stopWatching(): void {
    if (this.places.queued > 0) return
    this.cancelAlarm?.()
    this.cancelAlarm = undefined
  }

  private refuseExpired(): void {
    const untilMs = this.clock.monotonicMs() - this.limits.admissionWaitMs
    for (const waiting of this.places.queue) {
      if (waiting.sinceMs > untilMs) return
      this.refuse(waiting, fail("tooManyInFlight"))
    }
  }
}
