/**
 * Live requests, traffic and disks of a whole store, on whichever node they are asked for: this node's own, and those of the
 * others, which are asked at intervals.
 *
 * Promises  A node that does not answer is named, with the reason, and the others are shown. What is pushed has the node that
 *           served it. No call to another node outlasts the end of a trace by more than `askMs`.
 * Limits    `STORE_LIVE_LIMITS`: a node that hangs delays the rows of the others by `askMs`, until it counts as out of reach.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { DeviceDisk } from "@hayloft/engine/format/nodes/disk-report.js"
import type {
  LiveRequest,
  NodeTraffic,
  RequestFilter,
  TracedRequests,
  TraceQuestion,
  TrafficWindow,
} from "@hayloft/engine/format/nodes/live-report.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { LiveRequests } from "./requests.js"
import { trafficReport, type TrafficPart, type TrafficReport, type UnshownNode } from "./traffic-report-core.js"
import type { Traffic } from "./traffic.js"

export const STORE_LIVE_LIMITS = {
  /** Between two questions of a trace to one node. */
  pollMs: 250,
  nodesConcurrent: 16,
} as const

/** The nodes of a store, as one of them reaches the others. */
interface LiveNodes {
  readonly own: string
  /** The names of all others, also of those that do not run. */
  readonly others: readonly string[]
  /** Rejects if the node does not answer; so does the next. */
  traffic(node: string, window: TrafficWindow): Promise<NodeTraffic>
  disks(node: string): Promise<readonly DeviceDisk[]>
  trace(node: string, question: TraceQuestion, signal: AbortSignal): Promise<TracedRequests>
}

/** The disks of the devices of a store; the nodes whose disks are missing are absent on one machine. */
interface StoreDisks {
  readonly disks: readonly DeviceDisk[]
  readonly unshown?: readonly UnshownNode[]
}

/** A line of a trace: a request, or a node whose requests are not shown from now on, or are shown again. */
export type TraceLine =
  | ({ readonly type: "request"; readonly node?: string } & LiveRequest)
  | { readonly type: "node"; readonly node: string; readonly isShown: boolean; readonly reason?: string }

interface TraceSink {
  readonly push: (line: TraceLine) => void
  /** So many requests are left out, because they came too fast. */
  readonly lost: (requests: number) => void
}

export class StoreLive {
  /** Tells the traces of this node apart, also from those before its last start. */
  private readonly startedMs: number
  private traces = 0

  constructor(
    private readonly clock: Pick<Clock, "wallMs" | "sleep">,
    private readonly own: {
      readonly requests: Pick<LiveRequests, "watch">
      readonly traffic: Pick<Traffic, "counts">
      readonly disks: { read(): Promise<readonly DeviceDisk[]> }
    },
    /** It is undefined on one machine. */
    private readonly nodes: LiveNodes | undefined,
  ) {
    this.startedMs = clock.wallMs()
  }

  /**
   * `node`: only of this one. Throws `invalidArgument` for a node that does not exist.
   * @returns what begins the trace, and returns a function that ends it.
   */
  trace(filter: RequestFilter, node: string | undefined): (sink: TraceSink) => () => void {
    this.checkNode(node)
    return sink => {
      const end = new AbortController()
      const ofOwn = this.nodes && { node: this.nodes.own }
      const endOwn = this.isOwnWanted(node)
        ? this.own.requests.watch(filter, request => sink.push({ type: "request", ...ofOwn, ...request }))
        : () => undefined
      void this.follow(filter, node, sink, end.signal)
      return () => {
        end.abort()
        endOwn()
      }
    }
  }

  /** `node`: only of this one. Throws `invalidArgument` for a node that does not exist. */
  async traffic(window: TrafficWindow, node: string | undefined): Promise<TrafficReport> {
    this.checkNode(node)
    const own = this.isOwnWanted(node) ? [{ node: this.nodes?.own, traffic: this.own.traffic.counts(window) }] : []
    const parts: TrafficPart[] = [...own]
    const unshown = await this.askOthers(node, async (nodes, name) => {
      parts.push({ node: name, traffic: await nodes.traffic(name, window) })
    })
    return trafficReport(this.clock.wallMs(), window, parts, unshown)
  }

  async disks(): Promise<StoreDisks> {
    const disks = [...(await this.own.disks.read())]
    const unshown = await this.askOthers(undefined, async (nodes, name) => {
      disks.push(...(await nodes.disks(name)))
    })
    return { disks, ...(this.nodes && { unshown }) }
  }

  /** Returns the nodes that do not answer. */
  private async askOthers(
    wanted: string | undefined,
    ask: (nodes: LiveNodes, name: string) => Promise<void>,
  ): Promise<readonly UnshownNode[]> {
    const unshown: UnshownNode[] = []
    await this.eachOther(wanted, async (nodes, name) => {
      try {
        await ask(nodes, name)
      } catch (error) {
        unshown.push({ node: name, reason: reasonOf(error) })
      }
    })
    return unshown
  }

  /** Asks the others in turn until the signal fires. */
  private async follow(
    filter: RequestFilter,
    node: string | undefined,
    sink: TraceSink,
    signal: AbortSignal,
  ): Promise<void> {
    const question = { trace: `${this.nodes?.own ?? ""} ${this.startedMs} ${(this.traces += 1)}`, filter }
    /** The reason why nodes are not shown, as was said last. */
    const unshown = new Map<string, string>()
    const ask = async (nodes: LiveNodes, name: string): Promise<void> => {
      try {
        const { requests, dropped } = await nodes.trace(name, question, signal)
        if (signal.aborted) return
        if (unshown.delete(name)) sink.push({ type: "node", node: name, isShown: true })
        for (const request of requests) sink.push({ type: "request", node: name, ...request })
        if (dropped > 0) sink.lost(dropped)
      } catch (error) {
        if (signal.aborted || unshown.has(name)) return
        const reason = reasonOf(error)
        unshown.set(name, reason)
        sink.push({ type: "node", node: name, isShown: false, reason })
      }
    }
    while (!signal.aborted && this.nodes !== undefined) {
      await this.eachOther(node, ask)
      await this.clock.sleep(STORE_LIVE_LIMITS.pollMs, signal)
    }
  }

  private async eachOther(
    wanted: string | undefined,
    ask: (nodes: LiveNodes, name: string) => Promise<void>,
  ): Promise<void> {
    const { nodes } = this
    if (nodes === undefined) return
    const names = wanted === undefined ? nodes.others : nodes.others.filter(name => name === wanted)
    await mapBounded(names, STORE_LIVE_LIMITS.nodesConcurrent, name => ask(nodes, name))
  }

  private isOwnWanted(node: string | undefined): boolean {
    return node === undefined || node === this.nodes?.own
  }

  private checkNode(node: string | undefined): void {
    const { nodes } = this
    if (node === undefined || node === nodes?.own || nodes?.others.includes(node) === true) return
    const message =
      nodes === undefined ? "this store has no nodes" : `no node ${node.slice(0, 255)} belongs to this store`
    throw fail("invalidArgument", { message })
  }
}

const reasonOf = (error: unknown): string => asFailure(error).message
