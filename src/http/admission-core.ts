/**
 * Shares out the places for requests: admits a request or queues it, and picks the next one from the queue. Pure.
 *
 * A request belongs to the account that its head names, or to its address if it names none. One client may use
 * all `inFlightMax` places of an idle server. After that, a free place goes to the account with the fewest places,
 * within it to the address with the fewest, then to the request that has waited longest. An account with fewer than
 * `reserveOfEach` places may also use one of `inFlightReserve` more. So no client can lock out the others, however long
 * it keeps its places.
 *
 * Limits  `waitingMax` requests wait. Beyond that, the newest request of the account with most of them is rejected.
 */
import { must } from "../base/assert.js"
import type { HttpLimits } from "./limits.js"

/** The party that a head claims, unverified: a false account name is refused once the request has a place. */
export interface Party {
  readonly account: string | undefined
  readonly address: string
}

export type ShareLimits = Pick<HttpLimits, "inFlightMax" | "inFlightReserve" | "reserveOfEach" | "waitingMax">

/** Whether a request is admitted, when `taken` places are in use, `own` of them by its account or address. */
export type EntryRule = (taken: number, own: number, limits: ShareLimits) => boolean

export const mayEnter: EntryRule = (taken, own, { inFlightMax, inFlightReserve, reserveOfEach }) =>
  taken < inFlightMax || (own < reserveOfEach && taken < inFlightMax + inFlightReserve)

interface Waiting<T> {
  readonly request: T
  readonly party: Party
  /** Order of arrival. */
  readonly number: number
}

interface Share<T> {
  taken: number
  /** In order of arrival. */
  readonly queue: Set<Waiting<T>>
}

interface Group<T> extends Share<T> {
  readonly addresses: Map<string, Share<T>>
}

/** `T` is a waiting request. */
export class Places<T> {
  private takenCount = 0
  private number = 0
  private readonly groups = new Map<string, Group<T>>()
  private readonly waiting = new Map<T, Waiting<T>>()

  constructor(
    private readonly limits: ShareLimits,
    private readonly rule: EntryRule = mayEnter,
  ) {}

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
    return this.takenCount < this.limits.inFlightMax / 2
  }

  /** Takes a place if the limits allow it. */
  enter(party: Party): boolean {
    const isAdmitted = this.rule(this.takenCount, this.groups.get(nameOf(party))?.taken ?? 0, this.limits)
    if (isAdmitted) this.take(party)
    return isAdmitted
  }

  /** Takes a place regardless of the limits: the request was admitted before. Without a party it counts for nobody. */
  take(party: Party | undefined): void {
    this.takenCount += 1
    if (party === undefined) return
    const { group, address } = this.sharesOf(party)
    group.taken += 1
    address.taken += 1
  }

  /** Gives a place back; returns the waiting requests that now have a place. */
  leave(party: Party | undefined): T[] {
    this.takenCount -= 1
    if (party !== undefined) {
      const { group, address } = this.sharesOf(party)
      group.taken -= 1
      address.taken -= 1
      this.forget(party)
    }
    const admitted: T[] = []
    for (let next = this.next(); next !== undefined; next = this.next()) {
      if (!this.enter(next.party)) break
      this.drop(next.request)
      admitted.push(next.request)
    }
    return admitted
  }

  /** Queues a request; returns the request that is rejected for it, which may be the same one. */
  wait(request: T, party: Party): T | undefined {
    const waiting = { request, party, number: (this.number += 1) }
    const { group, address } = this.sharesOf(party)
    for (const { queue } of [group, address]) queue.add(waiting)
    this.waiting.set(request, waiting)
    if (this.waiting.size <= this.limits.waitingMax) return undefined
    const largest = [...this.groups.values()].reduce(
      (most, each) => (each.queue.size > most.queue.size ? each : most),
      group,
    )
    const rejected = must([...largest.queue].at(-1), "the largest queue is not empty").request
    this.drop(rejected)
    return rejected
  }

  /** Removes a request from the queue. */
  drop(request: T): void {
    const waiting = this.waiting.get(request)
    if (waiting === undefined) return
    this.waiting.delete(request)
    const { group, address } = this.sharesOf(waiting.party)
    for (const { queue } of [group, address]) queue.delete(waiting)
    this.forget(waiting.party)
  }

  private next(): Waiting<T> | undefined {
    if (this.waiting.size === 0) return undefined
    const group = poorest(this.groups.values())
    const address = group && poorest(group.addresses.values())
    return address && firstOf(address)
  }

  private sharesOf(party: Party): { readonly group: Group<T>; readonly address: Share<T> } {
    const name = nameOf(party)
    const group = this.groups.get(name) ?? { taken: 0, queue: new Set(), addresses: new Map<string, Share<T>>() }
    this.groups.set(name, group)
    const address = group.addresses.get(party.address) ?? { taken: 0, queue: new Set() }
    group.addresses.set(party.address, address)
    return { group, address }
  }

  private forget(party: Party): void {
    const { group, address } = this.sharesOf(party)
    if (isEmpty(address)) group.addresses.delete(party.address)
    if (isEmpty(group)) this.groups.delete(nameOf(party))
  }
}

const nameOf = ({ account, address }: Party): string =>
  account === undefined ? `address ${address}` : `account ${account}`
const isEmpty = ({ taken, queue }: Share<unknown>): boolean => taken === 0 && queue.size === 0

function firstOf<T>({ queue }: Share<T>): Waiting<T> | undefined {
  const [first] = queue
  return first
}

/** Among shares with waiting requests: the one with the fewest places; of equals the one that has waited longest. */
function poorest<S extends Share<unknown>>(shares: Iterable<S>): S | undefined {
  let best: S | undefined
  for (const share of shares) {
    const first = firstOf(share)
    if (first === undefined) continue
    const than = best && firstOf(best)
    const isBetter =
      best === undefined ||
      than === undefined ||
      share.taken < best.taken ||
      (share.taken === best.taken && first.number < than.number)
    if (isBetter) best = share
  }
  return best
}
