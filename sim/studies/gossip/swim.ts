/**
 * SWIM (Das, Gupta, Motivala, DSN 2002): each node probes one other in each period, directly and then through others,
 * suspects the one that does not answer, and confirms it as dead if nothing refutes that in time. News travels on probes.
 * With the periods that HashiCorp's memberlist has in a local network, and its rule that a node which learns of its own
 * death refutes it.
 */
import { shuffled } from "../draws.js"
import type { Hosts } from "./hosts.js"

export const SWIM = {
  periodMs: 1_000,
  /** Until others are asked to probe. */
  probeMs: 500,
  /** Nodes that are asked. */
  helpers: 3,
  /** Periods of suspicion, for each power of ten of the nodes. */
  suspicionPeriods: 4,
  /** How often a node passes on a piece of news, for each power of ten of the nodes. */
  transmissions: 4,
  /** Pieces of news in one message. */
  newsMax: 8,
} as const

const BYTES = {
  /** IP and UDP, type, number of the probe, sender and target. */
  message: 28 + 1 + 4 + 6 + 6,
  /** A node's address and port, its state and its incarnation. */
  news: 6 + 1 + 4,
} as const

const [ALIVE, SUSPECT, DEAD] = [0, 1, 2]

interface News {
  readonly subject: number
  readonly state: number
  readonly incarnation: number
  /** How often this node has passed it on. */
  passed: number
}

interface Watch {
  /** A node counts another one as suspect or dead, or as alive again. */
  noted(observer: number, subject: number, state: "suspect" | "dead" | "alive"): void
}

export class Swim {
  messages = 0
  bytes = 0
  private readonly nodes: readonly SwimNode[]
  readonly tens: number

  constructor(
    readonly hosts: Hosts,
    readonly watch: Watch,
  ) {
    this.tens = Math.max(1, Math.log10(hosts.count))
    this.nodes = Array.from({ length: hosts.count }, (_, number) => new SwimNode(number, this))
    for (const node of this.nodes) hosts.after(node.number, hosts.random.below(SWIM.periodMs), () => node.probe())
  }

  /** `received` runs at the receiver, after it has read the news. */
  send(from: SwimNode, to: number, received: (at: SwimNode) => void): void {
    const news = from.newsToPass()
    this.messages += 1
    this.bytes += BYTES.message + BYTES.news * news.length
    this.hosts.send(from.number, to, () => {
      const receiver = this.nodes[to]
      if (receiver === undefined) return
      for (const each of news) receiver.learn(each)
      received(receiver)
    })
  }
}

class SwimNode {
  private incarnation = 0
  private readonly states: Uint8Array
  private readonly incarnations: Int32Array
  /** The nodes in the order in which they are probed. */
  private order: number[] = []
  private news: News[] = []

  constructor(
    readonly number: number,
    private readonly swim: Swim,
  ) {
    this.states = new Uint8Array(swim.hosts.count)
    this.incarnations = new Int32Array(swim.hosts.count)
  }

  probe(): void {
    const { hosts } = this.swim
    hosts.after(this.number, SWIM.periodMs, () => this.probe())
    const target = this.nextTarget()
    if (target === undefined) return
    let isAnswered = false
    const answered = (): void => void (isAnswered = true)
    this.ping(target, answered)
    hosts.after(this.number, SWIM.probeMs, () => {
      if (isAnswered) return
      this.probeThroughOthers(target, answered)
      hosts.after(this.number, SWIM.periodMs - SWIM.probeMs, () => {
        if (!isAnswered && this.states[target] === ALIVE) this.suspect(target)
      })
    })
  }

  private ping(target: number, answered: (by: SwimNode) => void): void {
    this.swim.send(this, target, at => this.swim.send(at, this.number, answered))
  }

  private probeThroughOthers(target: number, answered: () => void): void {
    const isHelper = (each: number): boolean => each !== this.number && each !== target && this.states[each] === ALIVE
    const all = Array.from({ length: this.states.length }, (_, each) => each).filter(isHelper)
    for (const helper of shuffled(this.swim.hosts.random, all).slice(0, SWIM.helpers)) {
      this.swim.send(this, helper, at => at.ping(target, () => this.swim.send(at, this.number, answered)))
    }
  }

  /** Each node once in a random order, then in another one. */
  private nextTarget(): number | undefined {
    const { random, count } = this.swim.hosts
    for (let tried = 0; tried <= count; tried += 1) {
      if (this.order.length === 0) this.order = shuffled(random, Array(count).keys())
      const target = this.order.pop()
      if (target !== undefined && target !== this.number && this.states[target] !== DEAD) return target
    }
    return undefined
  }

  private suspect(target: number): void {
    this.learn({ subject: target, state: SUSPECT, incarnation: this.incarnations[target] ?? 0 })
  }

  learn({ subject, state, incarnation }: Omit<News, "passed">): void {
    if (subject === this.number) return this.refute(state, incarnation)
    const [known, knownOf] = [this.states[subject] ?? ALIVE, this.incarnations[subject] ?? 0]
    const isNewer = incarnation > knownOf || (incarnation === knownOf && state > known)
    if (!isNewer) return
    this.states[subject] = state
    this.incarnations[subject] = incarnation
    this.pass({ subject, state, incarnation })
    if (state !== known) this.note(subject, state)
    if (state === SUSPECT) this.confirmLater(subject, incarnation)
  }

  private note(subject: number, state: number): void {
    this.swim.watch.noted(this.number, subject, state === DEAD ? "dead" : state === SUSPECT ? "suspect" : "alive")
  }

  private confirmLater(subject: number, incarnation: number): void {
    const { hosts, tens } = this.swim
    hosts.after(this.number, SWIM.suspicionPeriods * tens * SWIM.periodMs, () => {
      if (this.states[subject] !== SUSPECT || this.incarnations[subject] !== incarnation) return
      this.learn({ subject, state: DEAD, incarnation })
    })
  }

  /** A node that is said to be suspect or dead says that it lives, under a higher incarnation. */
  private refute(state: number, incarnation: number): void {
    if (state === ALIVE || incarnation < this.incarnation) return
    this.incarnation = incarnation + 1
    this.pass({ subject: this.number, state: ALIVE, incarnation: this.incarnation })
  }

  /** The newest piece of news about a node replaces earlier ones. */
  private pass(news: Omit<News, "passed">): void {
    this.news = [...this.news.filter(({ subject }) => subject !== news.subject), { ...news, passed: 0 }]
  }

  /** Returns the news that was passed on least often. */
  newsToPass(): readonly News[] {
    if (this.news.length === 0) return []
    const most = SWIM.transmissions * Math.ceil(Math.log10(this.states.length + 1))
    const chosen = this.news.sort((a, b) => a.passed - b.passed).slice(0, SWIM.newsMax)
    for (const each of chosen) each.passed += 1
    this.news = this.news.filter(({ passed }) => passed < most)
    return chosen
  }
}
