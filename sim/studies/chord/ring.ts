/**
 * A ring of Chord under study: it begins stabilised, nodes join and fail, clients look keys up, and each table is compared
 * with the one that it should be.
 */
import { must } from "@hayloft/base/assert.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { between, exponential, pick, shuffled } from "../draws.js"
import { Events } from "../events.js"
import { chordIdOf, fingerStart, placeOf, successorOf, type ChordId } from "./ids.js"
import { ChordNetwork } from "./network.js"
import { CHORD_LIMITS, ChordNode, type LookupEnd } from "./node.js"

export interface ClientLookup extends LookupEnd {
  readonly ms: number
  /** It is undefined if the lookup failed. */
  readonly isRight: boolean | undefined
}

/** Shares of the entries that are as they should be. */
export interface Rightness {
  readonly successors: number
  readonly predecessors: number
  readonly lists: number
  readonly fingers: number
}

const NONE: ReadonlySet<ChordId> = new Set()

export class Ring {
  readonly events = new Events()
  readonly network: ChordNetwork<ChordNode>
  private readonly random: SimRandom
  /** Ids of the nodes that run and have joined, sorted. */
  private sorted: ChordId[]
  private named = 0

  constructor(nodes: number, seed: number) {
    this.random = new SimRandom(seed)
    this.network = new ChordNetwork(this.events, this.random.fork("network"))
    this.sorted = Array.from({ length: nodes }, () => this.newId()).sort((a, b) => a - b)
    const [, upkeepMsMax] = CHORD_LIMITS.upkeepMs
    for (const id of this.sorted) this.network.nodes.set(id, this.nodeOf(id))
    for (const [place, id] of this.sorted.entries()) {
      const node = this.node(id)
      node.successors = this.behind(place)
      node.predecessor = this.sorted.at(place - 1)
      for (const finger of node.fingers.keys()) node.fingers[finger] = successorOf(this.sorted, fingerStart(id, finger))
      node.keepUp(between(this.random, 0, upkeepMsMax))
    }
  }

  get ids(): readonly ChordId[] {
    return this.sorted
  }

  node(id: ChordId): ChordNode {
    return must(this.network.nodes.get(id), "the node runs")
  }

  private newId(): ChordId {
    this.named += 1
    return chordIdOf(`node ${this.named}`)
  }

  private nodeOf(id: ChordId): ChordNode {
    return new ChordNode(id, this.network, this.random.fork("upkeep"))
  }

  private behind(place: number): ChordId[] {
    const count = Math.min(CHORD_LIMITS.successors, this.sorted.length - 1)
    return Array.from({ length: count }, (_, next) => this.sorted[(place + 1 + next) % this.sorted.length] ?? 0)
  }

  /** Lets `count` nodes fail without notice, and as many join, at random moments within the time. */
  churn(count: number, withinMs: number): void {
    const random = this.random.fork("churn")
    for (const id of shuffled(random, this.sorted).slice(0, count)) {
      this.events.after(between(random, 0, withinMs), () => {
        this.network.nodes.delete(id)
        this.sorted = this.sorted.filter(each => each !== id)
      })
    }
    for (let joining = 0; joining < count; joining += 1) {
      const node = this.nodeOf(this.newId())
      this.events.after(between(random, 0, withinMs), () => this.join(node))
    }
  }

  private join(node: ChordNode): void {
    const by = this.node(must(pick(this.random, this.sorted), "a ring has nodes"))
    const joined = (): void => {
      this.network.nodes.set(node.id, node)
      this.sorted = [...this.sorted, node.id].sort((a, b) => a - b)
    }
    node.join(by, joined, () => this.events.after(CHORD_LIMITS.joinRetryMs, () => this.join(node)))
  }

  /** Clients look up random keys at nodes that run, so many a second on average, and their answers are collected. */
  lookups(perSecond: number, durationMs: number): ClientLookup[] {
    const random = this.random.fork("lookups")
    const ends: ClientLookup[] = []
    const endMs = this.events.nowMs + durationMs
    const pause = (): number => exponential(random, 1_000 / perSecond)
    this.events.every(pause(), pause, () => {
      if (this.events.nowMs >= endMs) return false
      const by = pick(random, this.sorted)
      if (by !== undefined) this.lookup(by, random.below(2 ** 32), end => ends.push(end))
      return true
    })
    this.events.runUntil(endMs)
    return ends
  }

  /** An answer is right if it names the key's owner at its beginning or at its end. */
  lookup(by: ChordId, key: ChordId, ended: (end: ClientLookup) => void): void {
    const startMs = this.events.nowMs
    const ownerThen = successorOf(this.sorted, key)
    this.node(by).lookup(key, "lookup", true, end => {
      const isRight = end.owner === ownerThen || end.owner === successorOf(this.sorted, key)
      ended({ ...end, ms: this.events.nowMs - startMs, isRight: end.owner === undefined ? undefined : isRight })
    })
  }

  get rightness(): Rightness {
    let [successors, predecessors, lists, fingers, fingersOfAll] = [0, 0, 0, 0, 0]
    for (const [place, id] of this.sorted.entries()) {
      const node = this.node(id)
      const should = this.behind(place)
      if (node.successors[0] === should[0]) successors += 1
      if (node.predecessor === this.sorted.at(place - 1)) predecessors += 1
      if (node.successors.join() === should.join()) lists += 1
      for (const [finger, each] of node.fingers.entries()) {
        fingersOfAll += 1
        if (each === successorOf(this.sorted, fingerStart(id, finger))) fingers += 1
      }
    }
    const count = this.sorted.length
    return {
      successors: successors / count,
      predecessors: predecessors / count,
      lists: lists / count,
      fingers: fingers / fingersOfAll,
    }
  }

  /** The place of a key's owner among the ids. */
  ownerOf(key: ChordId): number {
    return placeOf(this.sorted, key)
  }

  /**
   * The nodes that a lookup without lists of successors would ask: each knows its successor and its fingers, as in the
   * analysis of the paper.
   */
  hopsByFingers(by: ChordId, key: ChordId): number {
    let [at, hops] = [this.node(by), 0]
    for (;;) {
      const step = at.stepTowards(key, NONE, 1)
      if (step === undefined || "owner" in step) return hops
      at = this.node(step.nearer)
      hops += 1
    }
  }
}
