/**
 * What is kept of each request: one log line and the metrics. No target and no header is kept, for
 * they may hold signatures; the protocol notes what may be known.
 */
import type { Counter, Fields, Histogram, Telemetry } from "../seams/telemetry/contract.js"
import type { NodeExchange } from "./exchange.js"

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

/** Failures that ask clients to come slower: our own word for it, and S3's. */
const SLOW_DOWN: ReadonlySet<unknown> = new Set(["tooManyInFlight", "SlowDown"])

/**
 * Whether an answer is our trouble and not the client's doing: 501 refuses by name what was asked for,
 * and a client that is asked to come slower comes again.
 */
function isOurTrouble(status: number, failure: unknown): boolean {
  if (status < 500 || status === 501) return false
  return status !== 503 || !SLOW_DOWN.has(failure)
}

export class RequestRecord {
  private readonly requests: Counter
  private readonly seconds: Histogram
  private readonly received: Counter
  private readonly sent: Counter
  private readonly nonsenses: Counter

  constructor(
    private readonly telemetry: Telemetry,
    private readonly server: string,
    now: { readonly connections: () => number; readonly inFlight: () => number },
  ) {
    const { metrics } = telemetry
    const labels = { server }
    this.requests = metrics.counter("hayloft_http_requests_total", "Requests by server, operation and status")
    this.seconds = metrics.histogram(
      "hayloft_http_request_seconds",
      "Time from the headers to the last byte of the answer",
      SECONDS,
    )
    this.received = metrics.counter("hayloft_http_received_bytes_total", "Bytes of request bodies")
    this.sent = metrics.counter("hayloft_http_sent_bytes_total", "Bytes of answer bodies")
    this.nonsenses = metrics.counter("hayloft_http_malformed_total", "Connections that sent what is no request")
    metrics.gauge("hayloft_http_connections", "Open connections", () => [[labels, now.connections()]])
    metrics.gauge("hayloft_http_in_flight", "Requests being served", () => [[labels, now.inFlight()]])
  }

  request(exchange: NodeExchange): void {
    const { server } = this
    const { status, receivedBytes, sentBytes, notes } = exchange
    const operation = String(notes["operation"] ?? "none")
    const shownStatus = status ?? 0
    this.requests.add({ server, operation, status: String(shownStatus) })
    this.seconds.observe(exchange.timing.totalMs / 1000, { server, operation })
    this.received.add({ server }, receivedBytes)
    this.sent.add({ server }, sentBytes)
    const fields: Fields = {
      server,
      requestId: exchange.requestId,
      remote: exchange.remoteAddress,
      method: exchange.method,
      status: shownStatus,
      ...notes,
      receivedBytes,
      sentBytes,
      ...(exchange.clientGone ? { clientGone: true } : {}),
      ...exchange.timing.fields(),
    }
    if (isOurTrouble(shownStatus, notes["failure"])) this.telemetry.log.warn("request", fields)
    else this.telemetry.log.info("request", fields)
  }

  nonsense(requestId: string, code: string): void {
    this.nonsenses.add({ server: this.server })
    this.telemetry.log.info("malformedRequest", { server: this.server, requestId, code })
  }
}
