/**
 * Live requests: passes each finished request of this node to those who watch, here or on other nodes, and counts those of
 * clients as traffic. Those of other threads of this process arrive in batches.
 *
 * Promises  While nobody watches, a request is only counted, which allocates nothing. A watcher never delays a
 *           request, and learns of every request that its filter lets through, in the order of their ends. For a trace on
 *           another node they wait until it asks; those that find no room are counted.
 * Limits    Those of `Traffic`, and `TRACE_LIMITS`; the callers of `watch` limit their number.
 */
import { fail } from "@hayloft/base/failures.js"
import type {
  LiveRequest,
  RequestFilter,
  TracedRequests,
  TraceQuestion,
} from "@hayloft/engine/format/nodes/live-report.js"
import type { FinishedRequest, RequestWatch } from "@hayloft/protocols/http/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { liveRequestOf, passes } from "./live-request-core.js"
import type { RequestBatch } from "./request-batch.js"
import { isTraffic } from "./traffic-core.js"
import type { Traffic } from "./traffic.js"

export const TRACE_LIMITS = {
  /** Traces of other nodes that this one keeps requests for; more are refused. */
  tracesMax: 64,
  /** A trace that has not asked for so long has ended. */
  idleMs: 10_000,
  /** The requests that wait for the next question of one trace. */
  requestsMax: 1_000,
  /** The same, in characters of their texts: an answer is below 1 MiB. */
  charactersMax: 128 * 1024,
} as const

interface Watcher {
  readonly filter: RequestFilter
  readonly push: (request: LiveRequest) => void
}

export class LiveRequests implements RequestWatch {
  private readonly watchers = new Set<Watcher>()
  /** The traces of other nodes, by name. */
  private readonly traces = new Map<string, WaitingRequests>()

  constructor(
    private readonly clock: Pick<Clock, "wallMs" | "monotonicMs">,
    private readonly traffic: Pick<Traffic, "count" | "add">,
    /** Told when the first watcher comes, and when the last one has gone. */
    private readonly onWatched: (isWatched: boolean) => void = () => undefined,
  ) {}

  /** Somebody watches: requests of other threads are shown to no one else. */
  get isWatched(): boolean {
    return this.watchers.size > 0
  }

  finished(server: string, request: FinishedRequest): void {
    if (isTraffic(server, request)) this.traffic.count(request)
    if (!this.isWatched) return
    this.show(liveRequestOf(server, this.clock.wallMs(), request))
    if (this.traces.size > 0) this.endIdle()
  }

  /** Requests that another thread has finished. */
  replay({ counted, shown }: Pick<RequestBatch, "counted" | "shown">): void {
    for (const request of counted) this.traffic.add(...request)
    for (const request of shown) this.show(request)
    if (this.traces.size > 0) this.endIdle()
  }

  /** @returns a function that ends the watch. */
  watch(filter: RequestFilter, push: (request: LiveRequest) => void): () => void {
    const watcher = { filter, push }
    this.watchers.add(watcher)
    if (this.watchers.size === 1) this.onWatched(true)
    return () => {
      if (this.watchers.delete(watcher) && !this.isWatched) this.onWatched(false)
    }
  }

  private show(request: LiveRequest): void {
    for (const { filter, push } of this.watchers) if (passes(filter, request)) push(request)
  }

  /** Answers a trace of another node. Throws `tooManyInFlight`. */
  answer({ trace, filter }: TraceQuestion): TracedRequests {
    this.endIdle()
    const known = this.traces.get(trace) ?? this.begin(trace, filter)
    known.askedMs = this.clock.monotonicMs()
    return known.take()
  }

  private begin(trace: string, filter: RequestFilter): WaitingRequests {
    if (this.traces.size >= TRACE_LIMITS.tracesMax) {
      throw fail("tooManyInFlight", { message: `${TRACE_LIMITS.tracesMax} traces of other nodes are open; end one` })
    }
    const waiting = new WaitingRequests()
    waiting.end = this.watch(filter, request => waiting.add(request))
    this.traces.set(trace, waiting)
    return waiting
  }

  private endIdle(): void {
    const idleMs = this.clock.monotonicMs() - TRACE_LIMITS.idleMs
    for (const [trace, { askedMs, end }] of this.traces) {
      if (askedMs > idleMs) continue
      end()
      this.traces.delete(trace)
    }
  }
}

/** The requests that have ended since a trace asked last. */
class WaitingRequests {
  askedMs = 0
  end: () => void = () => undefined
  private requests: LiveRequest[] = []
  private characters = 0
  private dropped = 0

  add(request: LiveRequest): void {
    const characters = charactersOf(request)
    const { requestsMax, charactersMax } = TRACE_LIMITS
    if (this.requests.length >= requestsMax || this.characters + characters > charactersMax) {
      this.dropped += 1
      return
    }
    this.requests.push(request)
    this.characters += characters
  }

  take(): TracedRequests {
    const { requests, dropped } = this
    this.requests = []
    this.characters = 0
    this.dropped = 0
    return { requests, dropped }
  }
}

const charactersOf = (request: LiveRequest): number =>
  Object.values(request).reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 0), 0)
