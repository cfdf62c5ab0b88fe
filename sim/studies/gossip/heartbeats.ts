/**
 * Membership as Hayloft has it: heartbeats in rows of the database, silence that every node counts for itself, and calls by
 * which each node knows whether it reaches the others. The decisions are the product's own: `Silences`, `AnsweredTime`,
 * `Reach`, `silentNodes`, with its periods. This file plays the loops that feed them, and the database.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation, type NodeName } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { silentNodes } from "@hayloft/engine/cluster/index.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { RemoteDeviceState } from "@hayloft/engine/format/nodes/shard-calls.js"
import { AnsweredTime } from "@hayloft/node/cluster/answered-time-core.js"
import { MEMBERSHIP_LIMITS } from "@hayloft/node/cluster/membership.js"
import { Silences } from "@hayloft/node/cluster/steward-core.js"
import { STEWARD_LIMITS } from "@hayloft/node/cluster/steward.js"
import { REMOTE_LIMITS } from "@hayloft/engine/remote/limits.js"
import { Reach } from "@hayloft/engine/remote/reach-core.js"
import { deviceIdOf, nodeRowOf, recordOf } from "../records.js"
import type { Hosts } from "./hosts.js"

/** In the database, without the way there and back. */
const QUERY_MS = 2
/** A turn begins up to so much later than its period, which sets the turns of the nodes apart. */
const LATE_MS = 50
const UNREACHABLE = fail("peerUnreachable", { message: "the node does not answer" })

/** The rows of the nodes, and the processes that are live. */
export class Rows {
  isAway = false
  readonly rows: NodeRow[]
  private readonly live: Set<Incarnation>
  private highest: number

  constructor(nodes: number) {
    this.rows = Array.from({ length: nodes }, (_, number) => nodeRowOf(number, 1, []))
    this.live = new Set(this.rows.map(({ incarnation }) => incarnation))
    this.highest = nodes
  }

  /** A process whose incarnation has ended begins another one. */
  beat(number: number, unreachable: readonly NodeName[]): void {
    const row = must(this.rows[number], "every node has a row")
    const isEnded = !this.live.has(row.incarnation)
    if (isEnded) this.highest += 1
    const incarnation = isEnded ? parseIncarnation(this.highest) : row.incarnation
    if (isEnded) this.live.add(incarnation)
    this.rows[number] = { ...row, incarnation, beat: row.beat + 1, unreachable }
  }

  end(incarnations: readonly Incarnation[]): void {
    for (const incarnation of incarnations) this.live.delete(incarnation)
  }

  get liveIncarnations() {
    const nodes = this.rows.map(({ name, incarnation }) => ({ node: name, incarnation }))
    return {
      highest: parseIncarnation(this.highest),
      nodes: nodes.filter(({ incarnation }) => this.live.has(incarnation)),
    }
  }
}

/** The knowledge that one node has of one other by its calls: the loop of `RemoteNode.keepUp`. */
class Link {
  readonly reach = new Reach(REMOTE_LIMITS.statesFailedMax)
  private readonly states: readonly RemoteDeviceState[]

  constructor(
    private readonly hosts: Hosts,
    private readonly from: number,
    private readonly to: number,
    private readonly changed: () => void,
  ) {
    this.states = [{ id: deviceIdOf(to), isWritable: true, isFull: false }]
    this.reach.answered(this.reach.ask(), this.states)
    hosts.after(from, hosts.random.below(REMOTE_LIMITS.statesEveryMs), () => this.ask())
  }

  get isWritable(): boolean {
    return this.states.every(({ id }) => this.reach.isWritable(id))
  }

  private ask(): void {
    const { hosts, from, to, reach } = this
    const askedAt = reach.ask()
    let isOver = false
    const end = (note: () => void): void => {
      if (isOver) return
      isOver = true
      const was = this.isWritable
      note()
      if (this.isWritable !== was) this.changed()
      const { statesEveryMs, statesRetryMs } = REMOTE_LIMITS
      const isRetried = reach.trouble !== undefined && reach.silence === undefined
      hosts.after(from, isRetried ? statesRetryMs : statesEveryMs, () => this.ask())
    }
    const answered = (): void => end(() => reach.answered(askedAt, this.states))
    const missed = (): void => end(() => reach.notAnswered(UNREACHABLE))
    const tripMs = Math.min(REMOTE_LIMITS.statesMs, hosts.deliveryMs(from, to) + hosts.deliveryMs(to, from))
    hosts.after(from, tripMs, () => {
      if (tripMs === REMOTE_LIMITS.statesMs) return missed()
      if (hosts.runs(to)) return answered()
      hosts.on(to, () => hosts.on(from, answered))
      hosts.after(from, REMOTE_LIMITS.statesMs - tripMs, missed)
    })
  }
}

/** The decisions of an observer about each node. */
export interface Opinion {
  readonly silentMs: ReadonlyMap<NodeName, number>
  readonly outOfReachMs: ReadonlyMap<NodeName, number>
  readonly cutOff: readonly NodeName[]
  /** Processes that it would end, as the steward. */
  readonly ended: readonly Incarnation[]
  /** Devices that it would take offline, and those that it leaves to the operator. */
  readonly offline: readonly number[]
  readonly heldBack: readonly number[]
}

export class HeartbeatNode {
  readonly silences = new Silences()
  readonly links = new Map<number, Link>()
  private readonly time = new AnsweredTime(MEMBERSHIP_LIMITS.gapMsMax)

  constructor(
    readonly number: number,
    private readonly store: HeartbeatStore,
  ) {
    const { hosts } = store
    hosts.after(number, hosts.random.below(MEMBERSHIP_LIMITS.beatEveryMs), () => this.turn())
  }

  watchLink(to: number): void {
    const changed = (): void => this.store.watch.reached(this.number, to, this.links.get(to)?.isWritable === true)
    this.links.set(to, new Link(this.store.hosts, this.number, to, changed))
  }

  /** A heartbeat, then the rows of all. */
  private turn(): void {
    const { hosts, rows } = this.store
    hosts.after(this.number, MEMBERSHIP_LIMITS.beatEveryMs + hosts.random.below(LATE_MS), () => this.turn())
    this.query(
      () => rows.beat(this.number, this.unreachable),
      () => {
        if (!this.store.observers.has(this.number)) return
        this.query(
          () => [[...rows.rows], rows.liveIncarnations] as const,
          ([found, live]) => {
            this.silences.observe(found, live, this.time.answered(hosts.events.nowMs))
            this.store.observed(this)
          },
        )
      },
    )
  }

  private query<T>(decide: () => T, answered: (found: T) => void): void {
    const { hosts, rows } = this.store
    this.store.queries += 1
    hosts.events.after(hosts.repeatedMs() + QUERY_MS, () => {
      if (rows.isAway) return hosts.on(this.number, () => this.time.missed())
      const found = decide()
      hosts.after(this.number, hosts.repeatedMs(), () => answered(found))
    })
  }

  private get unreachable(): readonly NodeName[] {
    const { rows } = this.store.rows
    return [...this.links]
      .filter(([, { reach }]) => reach.trouble !== undefined)
      .flatMap(([to]) => rows[to]?.name ?? [])
  }
}

interface Watch {
  /** A node writes to the other's devices, or stops to. */
  reached(observer: number, subject: number, isWritable: boolean): void
  observed(observer: number, opinion: Opinion): void
}

export interface StoreOptions {
  /** The processes that read the rows; the others only write theirs. */
  readonly observers: ReadonlySet<number>
  /** Which nodes a node calls. */
  calls(from: number, to: number): boolean
  /** The node that has the lease of the steward. */
  readonly steward: number
}

export class HeartbeatStore {
  readonly rows: Rows
  readonly record: ControlRecord
  readonly nodes: readonly HeartbeatNode[]
  queries = 0

  constructor(
    readonly hosts: Hosts,
    private readonly options: StoreOptions,
    readonly watch: Watch,
  ) {
    this.rows = new Rows(hosts.count)
    this.record = recordOf(hosts.count)
    this.nodes = Array.from({ length: hosts.count }, (_, number) => new HeartbeatNode(number, this))
    for (const node of this.nodes) {
      for (let to = 0; to < hosts.count; to += 1) {
        if (to !== node.number && options.calls(node.number, to)) node.watchLink(to)
      }
    }
  }

  get observers(): ReadonlySet<number> {
    return this.options.observers
  }

  observed({ number, silences }: HeartbeatNode): void {
    const { endAfterMs, endStartingAfterMs } = STEWARD_LIMITS
    const own = must(this.rows.rows[number], "every node has a row").incarnation
    const outOfReachMs = silences.ofNodesOutOfReach()
    const { offline, heldBack } = silentNodes(this.record, outOfReachMs)
    const ended = silences.processesSilentFor(endAfterMs, endStartingAfterMs, own)
    this.watch.observed(number, {
      silentMs: silences.ofNodes(),
      outOfReachMs,
      ended,
      cutOff: this.rows.rows.flatMap(({ name }) => (silences.isCutOff(name) ? [name] : [])),
      offline: offline.map(id => this.numberOf(id)),
      heldBack: heldBack.flatMap(({ devices }) => devices.map(id => this.numberOf(id))),
    })
    if (number === this.options.steward) this.rows.end(ended)
  }

  private numberOf(id: string): number {
    return this.record.devices.findIndex(device => device.id === id)
  }
}
