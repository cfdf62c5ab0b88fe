/**
 * Admission: so many requests are served at once; those beyond wait for a place, which is shared out as
 * `admission-core.ts` says.
 *
 * Turning a request away costs nearly as much as serving a small one, and a client that is told at once
 * comes back at once. Whoever waits holds its connection still instead: under more load than can be
 * served the processor goes on serving, and nobody asks twice.
 *
 * Refuses  `tooManyInFlight`: requests that have waited for `admissionWaitMs`, and those that are turned away when more than
 *          `waitingMax` wait. `stopping`: everybody, once `stop` has been called.
 */
import { fail, type Failure } from "../base/failures.js"
import type { Clock } from "../seams/clock/contract.js"
import { Places, type EntryRule, type Party, type ShareLimits } from "./admission-core.js"
import type { HttpLimits } from "./limits.js"

interface Waiting {
  readonly sinceMs: number
  /** Undefined: it has a place. */
  readonly go: (refusal: Failure | undefined) => void
}

/** A request that has a place, or had one and waits for its client without it. */
export interface Placed {
  hasPlace: boolean
  /** Undefined: it has taken its place when nobody had to be told apart. */
  party: Party | undefined
  /** It has given its place back until its client goes on. */
  isParked: boolean
}

export class Admission {
  private stopping = false
  private readonly places: Places<Waiting>
  private callOff: (() => void) | undefined

  constructor(
    private readonly clock: Clock,
    private readonly limits: ShareLimits & Pick<HttpLimits, "admissionWaitMs">,
    rule?: EntryRule,
  ) {
    this.places = new Places(limits, rule)
  }

  get inFlight(): number {
    return this.places.taken
  }

  get waiting(): number {
    return this.places.queued
  }

  /** Takes a place where one is free, without waiting. What has one gives it back by `leave`. */
  enterAtOnce(placed: Placed, partyOf: () => Party): boolean {
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

  /** Waits for a place, after `enterAtOnce` found none: resolves with undefined when it is taken, else with the refusal. */
  async enter(placed: Placed): Promise<Failure | undefined> {
    const { party } = placed
    if (this.stopping || party === undefined) return fail("stopping")
    const refusal = await new Promise<Failure | undefined>(go => {
      const turnedAway = this.places.wait({ sinceMs: this.clock.monotonicMs(), go }, party)
      turnedAway?.go(fail("tooManyInFlight"))
      this.watchFirst()
    })
    placed.hasPlace = refusal === undefined
    return refusal
  }

  /** Gives the place back, where there is one, to the one who comes next; it is not taken again. */
  leave(placed: Placed): void {
    placed.isParked = false
    this.giveBack(placed)
  }

  /** Gives the place back while the client is waited for. */
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

  /** Takes the place again that `park` gave back. Never waits: others may wait for what the request holds. */
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

  /** One alarm for all: whoever came first has waited longest. */
  private watchFirst(): void {
    const [first] = this.places.queue
    if (first === undefined || this.callOff !== undefined) return
    const leftMs = first.sinceMs + this.limits.admissionWaitMs - this.clock.monotonicMs()
    this.callOff = this.clock.alarm(Math.max(leftMs, 1), () => {
      this.callOff = undefined
      this.refuseTheLate()
      this.watchFirst()
    })
  }

  private stopWatching(): void {
    if (this.places.queued > 0) return
    this.callOff?.()
    this.callOff = undefined
  }

  private refuseTheLate(): void {
    const untilMs = this.clock.monotonicMs() - this.limits.admissionWaitMs
    for (const waiting of this.places.queue) {
      if (waiting.sinceMs > untilMs) return
      this.refuse(waiting, fail("tooManyInFlight"))
    }
  }
}
