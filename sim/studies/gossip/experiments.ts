/** Experiments with both kinds of membership: the same hosts, faults and moments. */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SILENT_SHOWN_MS } from "@hayloft/node/status/nodes-core.js"
import { highest, mean } from "../draws.js"
import { Events } from "../events.js"
import { HeartbeatStore, type Opinion } from "./heartbeats.js"
import { Hosts } from "./hosts.js"
import { Swim } from "./swim.js"

/** Before the first fault. */
export const WARM_MS = 10_000
const VICTIM = 0
const STEWARD = 1
/** Nodes that read the rows, the steward among them: each observes for itself, so more of them show hardly more. */
const OBSERVERS_MAX = 6

const hostsOf = (nodes: number, seed: number, loss = 0): Hosts =>
  new Hosts(new Events(), new SimRandom(seed).fork("hosts"), nodes, loss)

const observersOf = (nodes: number): ReadonlySet<number> =>
  new Set(Array.from({ length: Math.min(OBSERVERS_MAX, nodes - 1) }, (_, each) => STEWARD + each))

/** Milliseconds after the fault; Infinity: never. */
export interface Noticed {
  readonly firstMs: number
  readonly allMs: number
}

/** Notes when each observer first notices something. */
class Notices {
  private readonly atMs = new Map<number, number>()

  constructor(
    private readonly events: Events,
    private readonly observers: number,
  ) {}

  note(observer: number): void {
    if (!this.atMs.has(observer)) this.atMs.set(observer, this.events.nowMs - WARM_MS)
  }

  get count(): number {
    return this.atMs.size
  }

  get noticed(): Noticed {
    const times = [...this.atMs.values()]
    return {
      firstMs: times.length === 0 ? Infinity : Math.min(...times),
      allMs: times.length < this.observers ? Infinity : highest(times),
    }
  }
}

export interface SwimDetection {
  readonly suspected: Noticed
  readonly dead: Noticed
}

export function swimDetection(nodes: number, seed: number): SwimDetection {
  const hosts = hostsOf(nodes, seed)
  const [suspected, dead] = [new Notices(hosts.events, nodes - 1), new Notices(hosts.events, nodes - 1)]
  const noted = (observer: number, subject: number, state: string): void => {
    if (subject === VICTIM && state !== "alive") suspected.note(observer)
    if (subject === VICTIM && state === "dead") dead.note(observer)
  }
  void new Swim(hosts, { noted })
  hosts.events.runUntil(WARM_MS)
  hosts.fail(VICTIM)
  hosts.events.runUntil(WARM_MS + 50_000)
  return { suspected: suspected.noticed, dead: dead.noticed }
}

export interface HeartbeatDetection {
  /** Its devices are not written to. */
  readonly unwritten: Noticed
  /** `status` shows it as silent. */
  readonly shown: Noticed
  /** By the steward: its process is ended, its devices go offline. */
  readonly endedMs: number
  readonly offlineMs: number
}

export function heartbeatDetection(nodes: number, seed: number): HeartbeatDetection {
  return { unwritten: unwrittenAfterFailure(nodes, seed), ...silenceAfterFailure(nodes, seed) }
}

/** Every node calls the one that fails. */
function unwrittenAfterFailure(nodes: number, seed: number): Noticed {
  const hosts = hostsOf(nodes, seed)
  const unwritten = new Notices(hosts.events, nodes - 1)
  const reached = (observer: number, _subject: number, isWritable: boolean): void => {
    if (!isWritable) unwritten.note(observer)
  }
  const options = {
    observers: new Set<number>(),
    steward: STEWARD,
    calls: (_from: number, to: number) => to === VICTIM,
  }
  void new HeartbeatStore(hosts, options, { reached, observed: () => undefined })
  play(hosts, { durationMs: 60_000, begin: () => hosts.fail(VICTIM) }, 0)
  return unwritten.noticed
}

/** All nodes write heartbeats, and the observers read them. */
function silenceAfterFailure(nodes: number, seed: number): Omit<HeartbeatDetection, "unwritten"> {
  const hosts = hostsOf(nodes, seed)
  const { events } = hosts
  const observers = observersOf(nodes)
  const [shown, ended, offline] = [new Notices(events, observers.size), new Notices(events, 1), new Notices(events, 1)]
  const observed = (observer: number, opinion: Opinion): void => {
    const { name, incarnation } = store.rows.rows[VICTIM] ?? {}
    if (name !== undefined && (opinion.silentMs.get(name) ?? 0) >= SILENT_SHOWN_MS) shown.note(observer)
    if (observer !== STEWARD) return
    if (opinion.ended.some(each => each === incarnation)) ended.note(observer)
    if (opinion.offline.includes(VICTIM)) offline.note(observer)
  }
  const store: HeartbeatStore = new HeartbeatStore(
    hosts,
    { observers, steward: STEWARD, calls: () => false },
    { reached: () => undefined, observed },
  )
  play(hosts, { durationMs: 16 * 60_000, begin: () => hosts.fail(VICTIM) }, 0)
  return { shown: shown.noticed, endedMs: ended.noticed.firstMs, offlineMs: offline.noticed.firstMs }
}

/** A fault of running hosts, from `WARM_MS` on. */
export interface Fault {
  readonly loss?: number
  readonly durationMs: number
  begin?(hosts: Hosts): void
  /** The database does not answer meanwhile. */
  readonly databaseAway?: boolean
}

/** The conclusions of SWIM about nodes that ran all the time. */
export interface SwimConclusions {
  readonly suspicions: number
  /** Nodes that were declared dead by any other, and by how many at most. */
  readonly dead: number
  readonly observersMost: number
  /** At the end, pairs of which one counts the other as dead. */
  readonly deadAtEnd: number
}

/** `settleMs`: after the fault, without it. */
export function swimUnder(nodes: number, seed: number, fault: Fault, settleMs = 0): SwimConclusions {
  const hosts = hostsOf(nodes, seed, fault.loss)
  let suspicions = 0
  const deadBy = new Map<number, Set<number>>()
  const now = new Set<number>()
  void new Swim(hosts, {
    noted: (observer, subject, state) => {
      if (hosts.events.nowMs < WARM_MS) return
      if (state === "suspect") suspicions += 1
      const pair = observer * nodes + subject
      if (state !== "dead") return void now.delete(pair)
      now.add(pair)
      deadBy.set(subject, (deadBy.get(subject) ?? new Set()).add(observer))
    },
  })
  play(hosts, fault, settleMs)
  const observersMost = highest([...deadBy.values()].map(({ size }) => size))
  return { suspicions, dead: deadBy.size, observersMost, deadAtEnd: now.size }
}

function play(hosts: Hosts, fault: Fault, settleMs: number, atEndOfFault: () => unknown = () => undefined): void {
  const { events } = hosts
  events.runUntil(WARM_MS)
  fault.begin?.(hosts)
  events.runUntil(WARM_MS + fault.durationMs)
  atEndOfFault()
  hosts.cut(() => false)
  events.runUntil(WARM_MS + fault.durationMs + settleMs)
}

/** The same of Hayloft. */
export interface HeartbeatConclusions {
  /** Times that a node stopped to write to another one's devices, and the share of all time of all pairs in which it did. */
  readonly interruptions: number
  readonly unwrittenShare: number
  /** Pairs between which nothing was written, at the worst moment. */
  readonly unwrittenPairs: number
  /** Nodes that any node saw silent for 30 s, or cut off. */
  readonly silent: number
  readonly cutOff: number
  /** The longest silence that any node saw. */
  readonly silentMsMost: number
  /** By the steward. */
  readonly ended: number
  readonly offline: number
  readonly heldBack: number
  /** Pairs between which nothing was written when all was over. */
  readonly unwrittenAtEnd: number
}

export function heartbeatsUnder(nodes: number, seed: number, fault: Fault, settleMs = 0): HeartbeatConclusions {
  const hosts = hostsOf(nodes, seed, fault.loss)
  const { events } = hosts
  const since = new Map<number, number>()
  const [silent, cutOff, ended, offline, heldBack] = Array.from({ length: 5 }, () => new Set<number | string>())
  let [interruptions, unwrittenMs, unwrittenPairs, silentMsMost] = [0, 0, 0, 0]
  const observed = (observer: number, opinion: Opinion): void => {
    if (events.nowMs < WARM_MS) return
    for (const [name, ms] of opinion.silentMs) {
      silentMsMost = Math.max(silentMsMost, ms)
      if (ms >= SILENT_SHOWN_MS) silent?.add(name)
    }
    for (const name of opinion.cutOff) cutOff?.add(name)
    if (observer !== STEWARD) return
    for (const incarnation of opinion.ended) ended?.add(incarnation)
    for (const device of opinion.offline) offline?.add(device)
    for (const device of opinion.heldBack) heldBack?.add(device)
  }
  const reached = (observer: number, subject: number, isWritable: boolean): void => {
    const pair = observer * nodes + subject
    if (isWritable) {
      unwrittenMs += events.nowMs - (since.get(pair) ?? events.nowMs)
      since.delete(pair)
      return
    }
    interruptions += 1
    since.set(pair, events.nowMs)
    unwrittenPairs = Math.max(unwrittenPairs, since.size)
  }
  const observers = observersOf(nodes)
  const store = new HeartbeatStore(hosts, { observers, steward: STEWARD, calls: () => true }, { reached, observed })
  if (fault.databaseAway === true) events.after(WARM_MS, () => (store.rows.isAway = true))
  play(hosts, fault, settleMs, () => (store.rows.isAway = false))
  for (const sinceMs of since.values()) unwrittenMs += events.nowMs - sinceMs
  const size = (set: ReadonlySet<unknown> | undefined): number => set?.size ?? 0
  return {
    interruptions,
    unwrittenShare: unwrittenMs / (events.nowMs * nodes * (nodes - 1)),
    unwrittenPairs,
    silent: size(silent),
    cutOff: size(cutOff),
    silentMsMost,
    ended: size(ended),
    offline: size(offline),
    heldBack: size(heldBack),
    unwrittenAtEnd: since.size,
  }
}

export interface SwimCosts {
  /** The counts are for each node and second. */
  readonly messages: number
  readonly bytes: number
}

export function swimCosts(nodes: number, seed: number): SwimCosts {
  const hosts = hostsOf(nodes, seed)
  const swim = new Swim(hosts, { noted: () => undefined })
  hosts.events.runUntil(WARM_MS)
  const perSecond = (total: number): number => total / nodes / (WARM_MS / 1_000)
  return { messages: perSecond(swim.messages), bytes: perSecond(swim.bytes) }
}

/** The mean of the first, and of the last. */
export const meanNoticed = (all: readonly Noticed[]): Noticed => ({
  firstMs: mean(all.map(({ firstMs }) => firstMs)),
  allMs: mean(all.map(({ allMs }) => allMs)),
})
