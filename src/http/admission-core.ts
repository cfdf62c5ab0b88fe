/**
 * Sharing places out: who is let in, and who of those waiting comes next. Pure.
 *
 * A request belongs to the account that its head names, or to its address where it names none. One client may take
 * all `inFlightMax` places of an idle server. From then on a free place goes to the account with the fewest places, among
 * its addresses to the one with the fewest, then to whoever has waited longest; and whoever has fewer than
 * `reserveOfEach` may take one of `inFlightReserve` more. So no client keeps the others out, however long it holds what it has.
 *
 * Limits  `waitingMax` requests wait. Beyond, the newest of the account that has the most of them is turned away.
 */
import { must } from "../base/assert.js"
import type { HttpLimits } from "./limits.js"

/** Whose request it is, as far as its head says: whoever names another's account is refused once it has a place. */
export interface Party {
  readonly account: string | undefined
  readonly address: string
}

export type ShareLimits = Pick<HttpLimits, "inFlightMax" | "inFlightReserve" | "reserveOfEach" | "waitingMax">

/** Whether a request is let in, when `taken` places are taken, `own` of them by its account or address. */
export type EntryRule = (taken: number, own: number, limits: ShareLimits) => boolean

export const mayEnter: EntryRule = (taken, own, { inFlightMax, inFlightReserve, reserveOfEach }) =>
  taken < inFlightMax || (own < reserveOfEach && taken < inFlightMax + inFlightReserve)

interface Waiting<T> {
  readonly request: T
  readonly party: Party
  /** In which order they came. */
  readonly number: number
}

interface Share<T> {
  taken: number
  /** In the order in which they came. */
  readonly queue: Set<Waiting<T>>
}

interface Group<T> extends Share<T> {
  readonly addresses: Map<string, Share<T>>
}

/** `T` is a request that waits. */
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

  /** In the order in which they came. */
  get queue(): IterableIterator<T> {
    return this.waiting.keys()
  }

  get queued(): number {
    return this.waiting.size
  }

  /** Accounts and addresses that are remembered. */
  get parties(): number {
    return this.groups.size
  }

  /** Nobody has to be told apart yet: a place may be taken without a party. */
  get isPlenty(): boolean {
    return this.takenCount < this.limits.inFlightMax / 2
  }

  /** Takes a place if there is one for it. */
  enter(party: Party): boolean {
    const isLetIn = this.rule(this.takenCount, this.groups.get(nameOf(party))?.taken ?? 0, this.limits)
    if (isLetIn) this.take(party)
    return isLetIn
  }

  /** Takes a place whether there is one or not: for a request that was let in before. Undefined: of nobody that counts. */
  take(party: Party | undefined): void {
    this.takenCount += 1
    if (party === undefined) return
    const { group, address } = this.sharesOf(party)
    group.taken += 1
    address.taken += 1
  }

  /** Gives a place back; what is let in by it has its place. */
  leave(party: Party | undefined): T[] {
    this.takenCount -= 1
    if (party !== undefined) {
      const { group, address } = this.sharesOf(party)
      group.taken -= 1
      address.taken -= 1
      this.forget(party)
    }
    const letIn: T[] = []
    for (let next = this.next(); next !== undefined; next = this.next()) {
      if (!this.enter(next.party)) break
      this.drop(next.request)
      letIn.push(next.request)
    }
    return letIn
  }

  /** Queues a request; gives the one that is turned away for it, which may be itself. */
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
    const turnedAway = must([...largest.queue].at(-1), "the largest queue has somebody").request
    this.drop(turnedAway)
    return turnedAway
  }

  /** A request waits no more. */
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

/** Of those with somebody waiting, the one with the fewest places; of equals the one whose first came first. */
function poorest<S extends Share<unknown>>(shares: Iterable<S>): S | undefined {
  let found: S | undefined
  for (const share of shares) {
    const first = firstOf(share)
    if (first === undefined) continue
    const than = found && firstOf(found)
    const isPoorer =
      found === undefined ||
      than === undefined ||
      share.taken < found.taken ||
      (share.taken === found.taken && first.number < than.number)
    if (isPoorer) found = share
  }
  return found
}
