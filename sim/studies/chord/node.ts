/**
 * A node of Chord (Stoica et al., SIGCOMM 2001): its successors, predecessor and fingers, lookups by iteration, and the
 * upkeep of a ring whose nodes join and fail: stabilize, notify, fix_fingers, check_predecessor.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { between } from "../draws.js"
import { distance, fingerStart, ID_BITS, isBetween, isUpTo, type ChordId } from "./ids.js"
import { CHORD_COST, type ChordNetwork, type Traffic } from "./network.js"

export const CHORD_LIMITS = {
  /** 2 log2 of 1,000 nodes, as in the paper. */
  successors: 20,
  /** Pauses between two rounds of upkeep, each with one finger: 30 s on average, as in the paper. */
  upkeepMs: [15_000, 45_000],
  /** A lookup that has met more failed nodes fails. */
  timeoutsMax: 20,
  joinRetryMs: 1_000,
} as const

export interface LookupEnd {
  /** The owner is undefined if no node that answered knew another one to ask. */
  readonly owner: ChordId | undefined
  /** Nodes that were asked and answered, without the one that looks up and the owner. */
  readonly hops: number
  readonly timeouts: number
}

/** A node's knowledge of a key: its owner, or a node that is nearer. */
type Step = { readonly owner: ChordId } | { readonly nearer: ChordId } | undefined

export class ChordNode {
  /** The nodes that follow on the circle, nearest first. */
  successors: ChordId[] = []
  predecessor: ChordId | undefined
  readonly fingers: (ChordId | undefined)[] = Array.from({ length: ID_BITS }, () => undefined)
  private nextFinger = 0

  constructor(
    readonly id: ChordId,
    private readonly network: ChordNetwork<ChordNode>,
    private readonly random: Random,
  ) {}

  /** All nodes that it knows. */
  get known(): ReadonlySet<ChordId> {
    const all = [...this.successors, ...this.fingers, this.predecessor].filter(each => each !== undefined)
    return new Set(all.filter(each => each !== this.id))
  }

  get stateBytes(): number {
    return CHORD_COST.entryBytes * this.known.size
  }

  /**
   * The key's owner, or the known node that most closely precedes the key, leaving out these. `successors`: how many of the
   * list are used.
   */
  stepTowards(key: ChordId, without: ReadonlySet<ChordId>, successors = this.successors.length): Step {
    const successor = this.successors.find(each => !without.has(each))
    if (successor === undefined) return undefined
    if (isUpTo(key, this.id, successor)) return { owner: successor }
    const [reach, listed] = [distance(this.id, key), this.successors.slice(0, successors)]
    let [nearer, most] = [successor, 0]
    for (const entries of [this.fingers, listed]) {
      for (const each of entries) {
        const away = each === undefined ? 0 : distance(this.id, each)
        // A key of the node itself is a whole circle away.
        if (each === undefined || away <= most || (away >= reach && reach > 0) || without.has(each)) continue
        nearer = each
        most = away
      }
    }
    return { nearer }
  }

  /** `isUsed`: the owner is called, as a client does; if it does not answer, its successor is the owner. */
  lookup(key: ChordId, traffic: Traffic, isUsed: boolean, ended: (end: LookupEnd) => void): void {
    const without = new Set<ChordId>()
    let [hops, timeouts] = [0, 0]
    const fail = (): void => ended({ owner: undefined, hops, timeouts })
    const missed = (missing: ChordId, at: ChordId): void => {
      without.add(missing)
      this.forget(missing)
      timeouts += 1
      if (timeouts > CHORD_LIMITS.timeoutsMax) fail()
      else ask(at, this.id, false)
    }
    const take = (step: Step, at: ChordId): void => {
      if (step === undefined) return fail()
      if ("nearer" in step) return ask(step.nearer, at, true)
      if (!isUsed || step.owner === this.id) return ended({ owner: step.owner, hops, timeouts })
      this.network.call({
        from: this.id,
        to: step.owner,
        traffic,
        serve: () => undefined,
        entriesOf: () => 0,
        answered: () => ended({ owner: step.owner, hops, timeouts }),
        failed: () => missed(step.owner, at),
      })
    }
    const ask = (to: ChordId, behind: ChordId, isHop: boolean): void => {
      if (to === this.id) return take(this.stepTowards(key, without), to)
      this.network.call({
        from: this.id,
        to,
        traffic,
        serve: (node: ChordNode) => node.stepTowards(key, without),
        entriesOf: step => (step === undefined ? 0 : 1),
        answered: step => {
          if (isHop) hops += 1
          take(step, to)
        },
        failed: () => missed(to, behind),
      })
    }
    ask(this.id, this.id, false)
  }

  /** Learns its successor from a node of the ring, and tells it. `otherwise`: called if that fails. */
  join(by: ChordNode, joined: () => void, otherwise: () => void): void {
    by.lookup(this.id, "maintenance", true, ({ owner }) => {
      if (owner === undefined) return otherwise()
      this.successors = [owner]
      joined()
      this.keepUp(0)
    })
  }

  /** Begins the rounds of upkeep. */
  keepUp(firstMs: number): void {
    const [least, most] = CHORD_LIMITS.upkeepMs
    const pause = (): number => between(this.random, least, most)
    this.network.events.every(firstMs, pause, () => {
      if (this.network.nodes.get(this.id) !== this) return false
      this.stabilize()
      this.checkPredecessor()
      this.fixFinger()
      return true
    })
  }

  private stabilize(): void {
    const [successor] = this.successors
    if (successor === undefined) return
    this.network.call({
      from: this.id,
      to: successor,
      traffic: "maintenance",
      serve: ({ predecessor, successors }) => ({ predecessor, successors }),
      entriesOf: ({ predecessor, successors }) => successors.length + (predecessor === undefined ? 0 : 1),
      answered: ({ predecessor, successors }) => {
        const isNew = predecessor !== undefined && isBetween(predecessor, this.id, successor)
        const list = [...(isNew ? [predecessor] : []), successor, ...successors]
        // Beyond itself the circle begins again.
        const ownAt = list.indexOf(this.id)
        this.successors = list.slice(0, Math.min(CHORD_LIMITS.successors, ownAt < 0 ? Infinity : ownAt))
        this.notify()
      },
      failed: () => {
        this.forget(successor)
        this.stabilize()
      },
    })
  }

  private notify(): void {
    const [successor] = this.successors
    if (successor === undefined) return
    this.network.call({
      from: this.id,
      to: successor,
      traffic: "maintenance",
      serve: node => node.notified(this.id),
      entriesOf: () => 0,
      answered: () => undefined,
      failed: () => this.forget(successor),
    })
  }

  private notified(by: ChordId): void {
    if (this.predecessor === undefined || isBetween(by, this.predecessor, this.id)) this.predecessor = by
    if (this.successors.length === 0) this.successors = [by]
  }

  private checkPredecessor(): void {
    const { predecessor } = this
    if (predecessor === undefined) return
    this.network.call({
      from: this.id,
      to: predecessor,
      traffic: "maintenance",
      serve: () => undefined,
      entriesOf: () => 0,
      answered: () => undefined,
      failed: () => this.forget(predecessor),
    })
  }

  /** Fingers that begin before the successor are the successor; one of the others is looked up. */
  private fixFinger(): void {
    const [successor] = this.successors
    if (successor === undefined) return
    for (let tried = 0; tried < ID_BITS; tried += 1) {
      const finger = this.nextFinger
      this.nextFinger = (finger + 1) % ID_BITS
      const start = fingerStart(this.id, finger)
      if (!isUpTo(start, this.id, successor)) {
        this.lookup(start, "maintenance", false, ({ owner }) => (this.fingers[finger] = owner))
        return
      }
      this.fingers[finger] = successor
    }
  }

  /** The node did not answer. */
  private forget(id: ChordId): void {
    this.successors = this.successors.filter(each => each !== id)
    if (this.predecessor === id) this.predecessor = undefined
    for (const [finger, each] of this.fingers.entries()) if (each === id) this.fingers[finger] = undefined
  }
}
