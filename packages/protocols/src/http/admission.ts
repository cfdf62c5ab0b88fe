/**
 * Admission: a limited number of requests is served concurrently; the others wait for a place, in the order that
 * `base/places-core.ts` decides.
 *
 * Rejecting a request costs nearly as much as serving a small one, and a client that is rejected immediately retries
 * immediately. A waiting request keeps its connection quiet instead: under overload the server spends its
 * processor time on serving, and clients do not retry.
 *
 * Most small requests are served within the turn of the event loop in which they arrive, so that they never hold a
 * place when another one asks. After `SLICE_MS` of a turn, the others that have arrived in it begin in later turns,
 * so that a burst of requests does not keep the head of a newcomer from being read; and none begins while many connections
 * wait to be accepted (`accept-runs.ts`). While two accounts or addresses
 * compete for long turns, all requests wait for the end of their turn, and begin in the order of what their
 * accounts have used, for `CONTENDED_SLICE_MS`; then the next turn reads what has arrived meanwhile, and the number
 * of places follows the length of turns (`places-limit-core.ts`). It stays as it is while nobody competes: on a
 * machine that is busy with something else, long turns say nothing about the requests.
 *
 * A request that will occupy the thread for milliseconds asks for a turn first: one such request runs in a turn of the
 * event loop, so that other work runs in between, and those that wait are in the order of their accounts too.
 *
 * Promises  Without load, requests begin when they arrive, and so does the first that asks for a turn. An address that
 *           has named an account falsely cannot name it for a while, so that nobody is served in another's name; one
 *           that has so named `FALSE_NAMES_MAX` counts by itself. Others behind the address count by their accounts.
 * Refuses   `tooManyInFlight`: requests that have waited for `admissionWaitMs`, and requests rejected because more than
 *           `waitingMax` wait. `stopping`: every request that has no place, once `stop` has been called.
 * Limits    `FALSE_CLAIMS_MAX` addresses are remembered, the latest ones.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { Places, type Party, type ShareLimits } from "@hayloft/base/places-core.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { AcceptRuns } from "./accept-runs.js"
import type { HttpLimits } from "./limits.js"
import { nextPlaces } from "./places-limit-core.js"
import type { AccountFactor, UsedByAccount } from "./thread-shares-core.js"

/** Requests of a turn that began within this time did not wait long for those before them. */
const LONG_TURN_MS = 1
/** Two parties in long turns compete for so long. */
const CONTENDED_MS = 1_000
/** Two parties compete, too, if more requests than these are under way or wait. */
const BUSY_REQUESTS = 16
/** How often the number of places is adapted while parties compete. */
const ADAPT_MS = 100
const SAMPLES_MAX = 1_000
/** How often it is checked whether requests that have waited for too long can be refused. */
const EXPIRY_MS = 10
/** Waiting requests begin for so long; then the event loop reads what has arrived. */
const SLICE_MS = 4
const CONTENDED_SLICE_MS = 0.5
const FALSE_CLAIM_MS = 60_000
const FALSE_CLAIMS_MAX = 1_000
/** An address that claims more accounts than this without proof counts as guessing. */
const FALSE_NAMES_MAX = 8
/** Costs that are known without measuring: a commit, and bytes at 200 MB/s. */
const COMMIT_MS = 0.05
const BYTE_MS = 1 / 200_000

interface Waiting {
  readonly sinceMs: number
  readonly placed: Placed
  readonly party: Party
  /** It has its place, and waits for its turn to occupy the thread. */
  readonly isForTurn: boolean
  /** Called with the refusal, or with undefined once the request has a place or its turn. */
  readonly go: (refusal: Failure | undefined) => void
}

/** A turn of the event loop that one request may occupy. */
interface TakenTurn {
  /** It took longer than `LONG_TURN_MS`: what is read next has waited for it. */
  wasLong: boolean
}

/** A request that has a place, or is parked: it gave its place back while it waits for its client. */
interface Placed {
  hasPlace: boolean
  /** The party is undefined if the request took its place while places were plentiful. */
  party: Party | undefined
  /** The request has given its place back until its client continues. */
  isParked: boolean
  readonly method: string
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Processor time that is charged once it is known who pays. */
  owedMs: number
  /** The account that the head names has been proved. */
  readonly isProved: boolean
  /** The request was refused because it could not prove who sent it. */
  readonly isDenied: boolean
}

export class Admission {
  private stopping = false
  private readonly places: Places<Waiting>
  /** The connections of all servers that share the places. */
  readonly accepts: AcceptRuns
  private cancelAlarm: (() => void) | undefined
  /** When the first request of this turn arrived; undefined: none has. */
  private turnBeganMs: number | undefined
  /** The latest turn that a request asked for, until the end of the next one: what arrived meanwhile is read by then. */
  private takenTurn: TakenTurn | undefined
  /** The request that has just begun in its turn. */
  private occupant: { readonly waiting: Waiting; readonly turn: TakenTurn; readonly beganMs: number } | undefined
  private isDraining = false
  private isAdapting = false
  private turnsMs: number[] = []
  /** The party that was last seen late in a turn, and until when parties compete. */
  private lastLate: string | undefined
  private contendedUntilMs = -Infinity
  private readonly watchers: (() => void)[] = []
  /** Addresses that have named accounts falsely: which ones, and until when. */
  private readonly falseClaims = new Map<string, Map<string, number>>()
  /** The costs of accounts since they were last taken; undefined if no other thread serves. */
  private used: Map<string, number> | undefined
  /** Accounts that use other threads, too, pay so many times as much. */
  private factors: ReadonlyMap<string, number> = new Map()

  constructor(
    private readonly clock: Clock,
    private readonly limits: ShareLimits & Pick<HttpLimits, "admissionWaitMs">,
  ) {
    this.places = new Places(limits, undefined, undefined, () => clock.monotonicMs())
    this.accepts = new AcceptRuns(clock)
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
    const nowMs = this.clock.monotonicMs()
    const turnMs = nowMs - this.turnBegan(nowMs)
    const isLate = turnMs > LONG_TURN_MS || this.takenTurn?.wasLong === true
    const isContended = nowMs < this.contendedUntilMs
    const isHeld = this.accepts.holds(nowMs)
    if (!isLate && !isContended && !isHeld && this.places.isPlenty) this.places.take(undefined)
    else {
      const party = this.countedParty(partyOf(), nowMs)
      placed.party = party
      const isBusy = isContended && this.places.taken + this.places.queued > BUSY_REQUESTS
      if (isLate || isBusy) this.noteLate(party, nowMs)
      if (isContended || isHeld || turnMs > SLICE_MS || !this.places.enter(party)) return false
    }
    placed.hasPlace = true
    return true
  }

  /** After `tryEnter` found no place: calls `go` with undefined once the request has one, else with the refusal. */
  wait(placed: Placed, go: (refusal: Failure | undefined) => void): void {
    const { party } = placed
    if (this.stopping || party === undefined) return go(fail("stopping"))
    this.enqueue({ sinceMs: this.clock.monotonicMs(), placed, party, isForTurn: false, go })
    this.watchFirst()
    for (const watch of this.watchers) watch()
  }

  /** Called when a request begins to wait for a place. */
  whenWaiting(watch: () => void): void {
    this.watchers.push(watch)
  }

  /**
   * Asks for a turn to occupy the thread for milliseconds; the request has been admitted. Returns true if it may do so
   * now, else calls `go` when it may, or with `tooManyInFlight`. It must do so until the next callback of the event loop:
   * this is the time that is charged.
   */
  tryTurn(placed: Placed, partyOf: () => Party, go: Waiting["go"]): boolean {
    const nowMs = this.clock.monotonicMs()
    const isFree = this.takenTurn === undefined && this.places.queued === 0
    if (isFree && nowMs >= this.contendedUntilMs && !this.accepts.holds(nowMs)) {
      this.takeTurn()
      return true
    }
    const party = placed.party ?? this.countedParty(partyOf(), nowMs)
    this.enqueue({ sinceMs: nowMs, placed, party, isForTurn: true, go })
    return false
  }

  private takeTurn(): TakenTurn {
    const turn = { wasLong: false }
    this.takenTurn = turn
    this.clock.atEndOfTurn(() => {
      if (this.takenTurn === turn) this.takenTurn = undefined
    })
    return turn
  }

  private enqueue(waiting: Waiting): void {
    this.places.wait(waiting, waiting.party, waiting.isForTurn)?.go(fail("tooManyInFlight"))
    this.drainSoon()
  }

  /** Gives the place back, if there is one, to the next waiting request; the exchange is done. */
  leave(placed: Placed): void {
    placed.isParked = false
    const { party } = placed
    if (party !== undefined) {
      if (isFalse(placed)) this.noteFalseClaim(party)
      const { method, receivedBytes, sentBytes, owedMs } = placed
      placed.owedMs = 0
      const commitMs = method === "GET" || method === "HEAD" ? 0 : COMMIT_MS
      this.charge(payerOf(placed, party), owedMs + commitMs + (receivedBytes + sentBytes) * BYTE_MS, true)
    }
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
    this.places.leave(placed.party)
    if (this.places.queued > 0) this.drainSoon()
    else this.stopWatching()
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
    for (const waiting of this.places.queue) if (!waiting.isForTurn) this.refuse(waiting, fail("stopping"))
  }

  private turnBegan(nowMs: number): number {
    if (this.turnBeganMs === undefined) {
      this.turnBeganMs = nowMs
      this.clock.atEndOfTurn(this.endTurn)
    }
    return this.turnBeganMs
  }

  private readonly endTurn = (): void => {
    const { turnBeganMs = 0 } = this
    if (turnBeganMs < this.contendedUntilMs) this.noteTurn(this.clock.monotonicMs() - turnBeganMs)
    this.turnBeganMs = undefined
  }

  private noteLate({ account, address }: Party, nowMs: number): void {
    const name = account ?? address
    if (this.lastLate !== undefined && name !== this.lastLate) {
      this.contendedUntilMs = nowMs + CONTENDED_MS
      this.adapt()
    }
    this.lastLate = name
  }

  private drainSoon(): void {
    if (this.isDraining) return
    this.isDraining = true
    this.clock.atEndOfTurn(this.drain)
    this.clock.atEndOfTurn(this.endDrain)
  }

  /** Waiting requests begin, for a slice of time. */
  private readonly drain = (): void => {
    this.isDraining = false
    let nowMs = this.clock.monotonicMs()
    if (this.accepts.holds(nowMs)) return this.drainSoon()
    const endMs = nowMs + (nowMs < this.contendedUntilMs ? CONTENDED_SLICE_MS : SLICE_MS)
    while (nowMs < endMs) {
      const next = this.places.admit()
      if (next === undefined) break
      if (next.isForTurn) return this.occupy(next, nowMs)
      next.placed.hasPlace = true
      next.go(undefined)
      const beganMs = nowMs
      nowMs = this.clock.monotonicMs()
      this.chargeTurn(next, nowMs - beganMs)
    }
    if (this.places.queued === 0) this.stopWatching()
    else if (this.places.isHolding || nowMs >= endMs) this.drainSoon()
  }

  /** Ends the drain: the rest of this turn is for one request. */
  private occupy(waiting: Waiting, nowMs: number): void {
    this.occupant = { waiting, turn: this.takeTurn(), beganMs: nowMs }
    waiting.go(undefined)
    if (this.places.queued === 0) this.stopWatching()
    else this.drainSoon()
  }

  /** Called next after `drain`, and after all promises that it has resolved. */
  private readonly endDrain = (): void => {
    const { occupant } = this
    if (occupant === undefined) return
    this.occupant = undefined
    const { waiting, turn, beganMs } = occupant
    const tookMs = this.clock.monotonicMs() - beganMs
    this.chargeTurn(waiting, tookMs)
    turn.wasLong = tookMs > LONG_TURN_MS
  }

  /** A request that is neither proved nor over, as those that wait for the database, pays when it leaves. */
  private chargeTurn({ placed, party }: Waiting, turnMs: number): void {
    const isOver = !placed.hasPlace && !placed.isParked
    if (placed.isProved || isOver) this.charge(payerOf(placed, party), turnMs, false)
    else placed.owedMs += turnMs
  }

  private charge(payer: Party, costMs: number, isAll: boolean): void {
    const { account } = payer
    const times = account === undefined ? 1 : (this.factors.get(account) ?? 1)
    this.places.charge(payer, times * costMs, isAll)
    if (account !== undefined) this.used?.set(account, costMs + (this.used.get(account) ?? 0))
  }

  /** Returns the costs of accounts since the last call, for the thread that weighs all threads (`ThreadShares`). */
  takeUsed(): readonly UsedByAccount[] {
    const { used = new Map<string, number>() } = this
    this.used = new Map()
    return [...used]
  }

  /** From now on these accounts pay more, and no others. */
  setFactors(factors: readonly AccountFactor[]): void {
    this.factors = new Map(factors)
  }

  private countedParty(party: Party, nowMs: number): Party {
    const { account, address } = party
    const claims = this.falseClaims.get(address)
    if (claims === undefined || account === undefined) return party
    for (const [name, untilMs] of claims) if (nowMs >= untilMs) claims.delete(name)
    if (claims.size === 0) this.falseClaims.delete(address)
    return claims.has(account) || claims.size >= FALSE_NAMES_MAX ? { account: undefined, address } : party
  }

  private noteFalseClaim({ account, address }: Party): void {
    if (account === undefined) return
    const claims = this.falseClaims.get(address) ?? new Map<string, number>()
    keepLatest(this.falseClaims, address, claims, FALSE_CLAIMS_MAX)
    if (claims.size < FALSE_NAMES_MAX || claims.has(account))
      claims.set(account, this.clock.monotonicMs() + FALSE_CLAIM_MS)
  }

  private noteTurn(turnMs: number): void {
    if (this.turnsMs.length < SAMPLES_MAX) this.turnsMs.push(turnMs)
  }

  /** Adapts the number of places until nobody competes any more. */
  private adapt(): void {
    if (this.isAdapting) return
    this.isAdapting = true
    this.clock.alarm(ADAPT_MS, () => {
      this.isAdapting = false
      const { turnsMs } = this
      this.turnsMs = []
      const isWaiting = this.places.queued > 0
      if (this.clock.monotonicMs() < this.contendedUntilMs) {
        this.places.setPlaces(nextPlaces(this.places.places, this.limits.inFlightMax, { turnsMs, isWaiting }))
        this.adapt()
      } else {
        // The lessons of one load do not hold for the next.
        this.places.setPlaces(this.limits.inFlightMax)
      }
      if (isWaiting) this.drainSoon()
    })
  }

  private refuse(waiting: Waiting, refusal: Failure): void {
    this.places.drop(waiting)
    this.stopWatching()
    waiting.go(refusal)
  }

  /** The number of requests that wait for their turn is limited by the places that they hold. */
  private firstForPlace(): Waiting | undefined {
    for (const waiting of this.places.queue) if (!waiting.isForTurn) return waiting
    return undefined
  }

  /** One alarm for all: the first in the queue has waited longest. */
  private watchFirst(): void {
    if (this.cancelAlarm !== undefined) return
    const first = this.firstForPlace()
    if (first === undefined) return
    const remainingMs = first.sinceMs + this.limits.admissionWaitMs - this.clock.monotonicMs()
    this.cancelAlarm = this.clock.alarm(Math.max(remainingMs, EXPIRY_MS), () => {
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

  /** Requests that wait for the thread, not for a place, are not refused: hundreds that arrive at once are served all the same. */
  private refuseExpired(): void {
    if (this.places.isPlenty) return
    const untilMs = this.clock.monotonicMs() - this.limits.admissionWaitMs
    for (const waiting of this.places.queue) {
      if (waiting.sinceMs > untilMs) return
      if (!waiting.isForTurn) this.refuse(waiting, fail("tooManyInFlight"))
    }
  }
}

const isFalse = ({ party, isProved, isDenied }: Placed): boolean =>
  party?.account !== undefined && isDenied && !isProved

/** Returns who is charged: an account that was not proved pays nothing. */
export const payerOf = ({ isProved }: Pick<Placed, "isProved">, party: Party): Party =>
  isProved ? party : { account: undefined, address: party.address }
