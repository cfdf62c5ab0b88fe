/**
 * Metrics of calls between nodes. Labels are methods, classes and kinds of failures, which are closed lists, and names of
 * nodes: only failures are counted by node, so that the series stay few in a store of many nodes.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { CallClass } from "../format/nodes/frame.js"
import type { Counter, Histogram, Series, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface MeasuredCall {
  readonly method: string
  readonly callClass: CallClass
  /** The node that was called. */
  readonly node: string
}

export class RpcMetrics {
  readonly sent: Series
  readonly received: Series
  private readonly called: Counter
  private readonly failed: Counter
  private readonly served: Counter
  private readonly seconds: Histogram
  private readonly refused: Counter

  constructor(readonly telemetry: Telemetry) {
    const { metrics } = telemetry
    this.sent = metrics.counter("hayloft_rpc_sent_bytes_total", "Bytes sent to other nodes").of({})
    this.received = metrics.counter("hayloft_rpc_received_bytes_total", "Bytes received from other nodes").of({})
    this.called = metrics.counter("hayloft_rpc_calls_total", "Calls to other nodes by method, class and outcome")
    this.failed = metrics.counter("hayloft_rpc_failures_total", "Calls to each other node that failed, by failure")
    this.served = metrics.counter("hayloft_rpc_served_total", "Calls of other nodes by method, class and outcome")
    this.seconds = metrics.histogram("hayloft_rpc_seconds", "From a call to its answer, by method and class", SECONDS)
    this.refused = metrics.counter("hayloft_rpc_connections_lost_total", "Connections that ended, by failure")
  }

  /** `error` is undefined for an answer. */
  answered({ method, callClass, node }: MeasuredCall, seconds: number, error: unknown): void {
    this.called.add({ method, class: callClass, outcome: outcomeOf(error) })
    this.seconds.observe(seconds, { method, class: callClass })
    if (error !== undefined) this.failed.add({ node, failure: outcomeOf(error) })
  }

  servedCall(method: string, callClass: CallClass, error: unknown): void {
    this.served.add({ method, class: callClass, outcome: outcomeOf(error) })
  }

  lost(side: "client" | "server", error: unknown): void {
    this.refused.add({ side, failure: outcomeOf(error) })
  }
}

const outcomeOf = (error: unknown): string => (error === undefined ? "ok" : isFailure(error) ? error.kind : "cancelled")
