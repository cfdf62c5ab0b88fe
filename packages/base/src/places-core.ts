/**
 * Shares out places, which are those for requests or memory for bodies: admits a request or queues it, and picks the
 * next one from the queue. Pure.
 *
 * A request belongs to the account that its head names, or to its address if it names none. One client may use
 * all `placesMax` places of an idle server. After that, a free place goes to the account that has used least: its virtual
 * time is the smallest (start-time fair queueing, Goyal, Vin and Cheng, 1996), counting what its present requests will
 * probably cost. Among equals it goes to the account with the fewest places; within an account by the same rules to an
 * address, then to the request that has waited longest. An account with fewer than `reserveOfEach` places may also use
 * one of `inFlightReserve` more. So no client can lock out the others, however long it keeps its places.
 *
 * An account that is ahead of another by more than `AHEAD_MS` waits while the other is active, for its next request will
 * come in a moment (anticipatory scheduling, Iyer and Druschel, 2001); the time of this wait is charged to the other one.
 *
 * A request that has its place may wait again, for its turn to occupy the thread: in the same order, but for no place.
 *
 * Promises  An account that returns begins at the virtual time of those present: idling earns nothing, and costs that
 *           it has not worked off stay, up to `APART_MS_MAX`: what it used while it was alone does not shut it out.
 * Limits    `waitingMax` requests wait. Beyond that, the newest request is rejected of the address with most of them, of
 *           the account with most of them.
 *           `OWING_MAX` accounts and addresses are remembered for their costs only.
 */
import type { Span } from "./trace.js"
import { must } from "./assert.js"

/** The party that a head claims, unverified: a false account name is refused once the request has a place. */
export interface Party {
  readonly account: string | undefined
  readonly address: string
}

/** The party that is charged for what a request takes, and since when it is not to blame for taking its time. */
export interface Payer {
  readonly payer: Party
  /** For how long a limit of rates has kept its bytes waiting until now. */
  readonly pausedMs: number
  /** The span of its request, if that is traced. */
  readonly trace?: Span | undefined
}

/** Background work of the server itself. */
export const NO_PAYER: Payer = { payer: { account: undefined, address: "" }, pausedMs: 0 }

export interface ShareLimits {
  readonly inFlightMax: number
  readonly inFlightReserve: number
  readonly reserveOfEach: number
  readonly waitingMax: number
}

/** Returns true if a request is admitted, when `taken` places are in use, `own` of them by its account or address. */
export type EntryRule = (taken: number, own: number, limits: ShareLimits) => boolean

export const mayEnter: EntryRule = (taken, own, { inFlightMax, inFlightReserve, reserveOfEach }) =>
  taken < inFlightMax || (own < reserveOfEach && taken < inFlightMax + inFlightReserve)

/** The virtual time at which an account or address continues whose own is `ownMs`, when it sends requests again. */
export type ReturnRule = (ownMs: number, nowMs: number) => number

const startsNow: ReturnRule = (ownMs, nowMs) => Math.max(ownMs, nowMs)

interface Waiting<T> {
  readonly request: T
  readonly party: Party
  /** It waits for its turn only. */
  readonly hasPlace: boolean
  /** Order of arrival. */
  readonly number: number
}

/** Forgetting costs favours their owners a little; it happens only if so many leave at once. */
const OWING_MAX = 1_000
/** After the end or the arrival of a request its account is expected to send the next one for so long. */
const ACTIVE_MS = 0.5
const AHEAD_MS = 0.25
/** Half of the time after which waiting requests are refused: no account is shut out for so long that they are. */
const APART_MS_MAX = 500
/** The weight of the latest request in the mean cost. */
const LATEST_WEIGHT = 0.2

interface Share<T> {
  taken: number
  /** In order of arrival. */
  readonly queue: Set<Waiting<T>>
  /** How many in the queue have their place. */
  placedCount: number
  /** Cost of all that has been charged, from the virtual time at which it came. */
  virtualMs: number
  /** The probable charge of a request under way. */
  meanMs: number
  /** When a request last came or ended. */
  seenAtMs: number
}

interface Group<T> extends Share<T> {
  readonly addresses: Map<string, Share<T>>
  /** The virtual time of its addresses. */
  nowMs: number
}

/** `T` is a waiting request. */
export class Places<T> {
  private takenCount = 0
  private number = 0
  /** The virtual time: the largest at which a request was admitted from the queue. */
  private nowMs = 0
  private placesMax: number
  /** Since when all waiting requests wait for an active account. */
  private heldSinceMs: number | undefined
  private readonly groups = new Map<string, Group<T>>()
  private readonly waiting = new Map<T, Waiting<T>>()

  constructor(
    private readonly limits: ShareLimits,
    private readonly rule: EntryRule = mayEnter,
    private readonly atReturn: ReturnRule = startsNow,
    /** Without it no account waits for one that is active. */
    private readonly time?: () => number,
  ) {
    this.placesMax = limits.inFlightMax
  }

  /** The present number of places, at most `inFlightMax`. Requests that have one keep it. */
  get places(): number {
    return this.placesMax
  }

  setPlaces(count: number): void {
    this.placesMax = Math.min(count, this.limits.inFlightMax)
  }

  get taken(): number {
    return this.takenCount
  }

  /** In order of arrival. */
  get queue(): IterableIterator<T> {
    return this.waiting.keys()
  }

  get queued(): number {
    return this.waiting.size
  }

  /** Number of accounts and addresses in the table. */
  get parties(): number {
    return this.groups.size
  }

  /** Places are plentiful: one may be taken without a party. */
  get isPlenty(): boolean {
    return this.takenCount < this.placesMax / 2
  }

  /** A place is free, but those who wait are held up for an active account: ask again soon. */
  get isHolding(): boolean {
    return this.heldSinceMs !== undefined
  }

  /** Takes a place if the limits allow it. */
  enter(party: Party): boolean {
    const isAdmitted = this.mayTake(this.groups.get(nameOfParty(party)))
    if (isAdmitted) this.take(party)
    return isAdmitted
  }

  private mayTake(group: Group<T> | undefined): boolean {
    return this.rule(this.takenCount, group?.taken ?? 0, { ...this.limits, inFlightMax: this.placesMax })
  }

  /** Takes a place regardless of the limits: the request was admitted before. Without a party it counts for nobody. */
  take(party: Party | undefined): void {
    this.takenCount += 1
    if (party === undefined) return
    const { group, address } = this.sharesOf(party)
    group.taken += 1
    address.taken += 1
  }

  /** Gives a place back. */
  leave(party: Party | undefined): void {
    this.takenCount -= 1
    if (party === undefined) return
    const { group, address } = this.sharesOf(party)
    group.taken -= 1
    address.taken -= 1
    group.seenAtMs = this.timeMs
    this.forget(party)
  }

  /** Takes a place for the next waiting request, unless it has one; undefined if none may go on. */
  admit(): T | undefined {
    const next = this.next()
    if (next === undefined) return undefined
    const { group, address } = this.sharesOf(next.party)
    this.nowMs = Math.max(this.nowMs, group.virtualMs)
    group.nowMs = Math.max(group.nowMs, address.virtualMs)
    if (!next.hasPlace) this.take(next.party)
    this.drop(next.request)
    return next.request
  }

  /** Adds what a request has cost to its account and address. `isAll`: it costs nothing more. */
  charge(party: Party, costMs: number, isAll: boolean): void {
    const { group, address } = this.sharesOf(party)
    for (const [share, nowMs] of [
      [group, this.nowMs],
      [address, group.nowMs],
    ] as const) {
      share.virtualMs = Math.min(share.virtualMs + costMs, nowMs + APART_MS_MAX)
      if (isAll) share.meanMs += LATEST_WEIGHT * (costMs - share.meanMs)
    }
    this.forget(party)
  }

  /** Queues a request; returns the request that is rejected for it, which may be the same one. */
  wait(request: T, party: Party, hasPlace = false): T | undefined {
    const waiting = { request, party, hasPlace, number: (this.number += 1) }
    const { group, address } = this.sharesOf(party)
    group.seenAtMs = this.timeMs
    // Its long requests may have kept the account present while others used much.
    group.virtualMs = Math.max(group.virtualMs, this.nowMs - APART_MS_MAX)
    address.virtualMs = Math.max(address.virtualMs, group.nowMs - APART_MS_MAX)
    for (const share of [group, address]) {
      share.queue.add(waiting)
      if (hasPlace) share.placedCount += 1
    }
    this.waiting.set(request, waiting)
    if (this.waiting.size <= this.limits.waitingMax) return undefined
    const largest = [...this.groups.values()].reduce(
      (most, each) => (each.queue.size > most.queue.size ? each : most),
      group,
    )
    const longest = [...largest.addresses.values()].reduce((most, each) =>
      each.queue.size > most.queue.size ? each : most,
    )
    const rejected = must([...longest.queue].at(-1), "the longest queue is not empty").request
    this.drop(rejected)
    return rejected
  }

  /** Removes a request from the queue. */
  drop(request: T): void {
    const waiting = this.waiting.get(request)
    if (waiting === undefined) return
    this.waiting.delete(request)
    if (this.waiting.size === 0) this.heldSinceMs = undefined
    const { group, address } = this.sharesOf(waiting.party)
    for (const share of [group, address]) {
      share.queue.delete(waiting)
      if (waiting.hasPlace) share.placedCount -= 1
    }
    this.forget(waiting.party)
  }

  private next(): Waiting<T> | undefined {
    if (this.waiting.size === 0) return undefined
    const group = poorest(this.groups.values(), each => each.placedCount > 0 || this.mayTake(each))
    if (group === undefined) this.heldSinceMs = undefined
    if (group === undefined || this.isHeld(group)) return undefined
    const isFree = this.mayTake(group)
    const address = poorest(group.addresses.values(), each => each.placedCount > 0 || isFree)
    return address && firstOf(address, each => each.hasPlace || isFree)
  }

  /** Returns true if the account waits for one that is active and has used less. */
  private isHeld(group: Group<T>): boolean {
    if (this.time === undefined) return false
    const { timeMs } = this
    let behind: Group<T> | undefined
    for (const [name, each] of this.groups) {
      if (!this.isActive(each, timeMs)) this.forgetGroup(name, each)
      else if (each !== group && (behind === undefined || each.virtualMs < behind.virtualMs)) behind = each
    }
    if (behind !== undefined && this.heldSinceMs !== undefined) behind.virtualMs += timeMs - this.heldSinceMs
    const isHeld = behind !== undefined && startOf(group) > behind.virtualMs + AHEAD_MS
    this.heldSinceMs = isHeld ? timeMs : undefined
    return isHeld
  }

  private get timeMs(): number {
    return this.time?.() ?? 0
  }

  private isActive({ seenAtMs }: Group<T>, timeMs = this.timeMs): boolean {
    return this.time !== undefined && seenAtMs >= timeMs - ACTIVE_MS
  }

  private sharesOf(party: Party): { readonly group: Group<T>; readonly address: Share<T> } {
    const name = nameOfParty(party)
    let group = this.groups.get(name)
    if (group === undefined) {
      group = { ...newShare<T>(this.atReturn(0, this.nowMs), this.timeMs), addresses: new Map(), nowMs: 0 }
      this.groups.set(name, group)
    } else if (isEmpty(group) && !this.isActive(group)) group.virtualMs = this.atReturn(group.virtualMs, this.nowMs)
    let address = group.addresses.get(party.address)
    if (address === undefined) {
      address = newShare<T>(this.atReturn(0, group.nowMs), this.timeMs)
      group.addresses.set(party.address, address)
    } else if (isEmpty(address)) address.virtualMs = this.atReturn(address.virtualMs, group.nowMs)
    return { group, address }
  }

  /** Forgets shares without requests, unless they owe costs; all of them once there are no requests. */
  private forget(party: Party): void {
    if (this.takenCount === 0 && this.waiting.size === 0) return void this.groups.clear()
    const name = nameOfParty(party)
    const group = must(this.groups.get(name), "the group is present")
    const address = group.addresses.get(party.address)
    const owesTooMany = this.groups.size > OWING_MAX || group.addresses.size > OWING_MAX
    if (address !== undefined && isEmpty(address) && (address.virtualMs <= group.nowMs || owesTooMany))
      group.addresses.delete(party.address)
    if (owesTooMany || !this.isActive(group)) this.forgetGroup(name, group, owesTooMany)
  }

  private forgetGroup(name: string, group: Group<T>, evenIfOwing = false): void {
    if (isEmpty(group) && (evenIfOwing || group.virtualMs <= this.nowMs)) this.groups.delete(name)
  }
}

const newShare = <T>(virtualMs: number, seenAtMs: number): Share<T> => ({
  taken: 0,
  queue: new Set(),
  placedCount: 0,
  virtualMs,
  meanMs: 0,
  seenAtMs,
})
const nameOfParty = ({ account, address }: Party): string =>
  account === undefined ? `address ${address}` : `account ${account}`
const isEmpty = ({ taken, queue }: Share<unknown>): boolean => taken === 0 && queue.size === 0

function firstOf<T>({ queue }: Share<T>, mayGo: (waiting: Waiting<T>) => boolean = () => true) {
  for (const waiting of queue) if (mayGo(waiting)) return waiting
  return undefined
}

/** Among shares with waiting requests: the next one by virtual time, places and age of its first request. */
function poorest<S extends Share<unknown>>(shares: Iterable<S>, mayTake: (share: S) => boolean = () => true) {
  let best: S | undefined
  for (const share of shares) {
    if (share.queue.size > 0 && mayTake(share) && (best === undefined || isBefore(share, best))) best = share
  }
  return best
}

function isBefore(share: Share<unknown>, best: Share<unknown>): boolean {
  const byTime = startOf(share) - startOf(best)
  if (byTime !== 0) return byTime < 0
  if (share.taken !== best.taken) return share.taken < best.taken
  return (firstOf(share)?.number ?? 0) < (firstOf(best)?.number ?? 0)
}

const startOf = ({ virtualMs, taken, meanMs }: Share<unknown>): number => virtualMs + taken * meanMs
