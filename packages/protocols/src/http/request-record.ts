/**
 * Records each request: one log line and the metrics. Records no target and no header, which
 * may hold signatures; the protocol adds the fields that may be shown.
 */
import type { Span } from "@hayloft/base/trace.js"
import type { Counter, Fields, Histogram, Labels, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { FinishedRequest, RequestMeter, RequestWatch } from "./contract.js"

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

/** Failures that ask clients to slow down: their kinds, and S3's name for them. */
const SLOW_DOWN: ReadonlySet<unknown> = new Set(["tooManyInFlight", "rateExceeded", "SlowDown"])

/**
 * Returns true if a response shows a fault of the server rather than of the client: 501 refuses a feature by name, and
 * a client that is asked to slow down retries.
 */
function isServerFault(status: number, { failure, kind }: Fields): boolean {
  if (status < 500 || status === 501) return false
  return status !== 503 || !(SLOW_DOWN.has(failure) || SLOW_DOWN.has(kind))
}

/** Limit on operations; each has a handful of statuses. */
const LABELS_KNOWN_MAX = 1_000

/** A completed exchange. */
interface Served extends FinishedRequest {
  readonly meters: readonly RequestMeter[]
  readonly trace: Span | undefined
}

interface RequestLabels {
  readonly ofOperation: Labels
  readonly ofStatus: Labels
}

export class RequestRecord {
  private readonly requests: Counter
  private readonly seconds: Histogram
  private readonly received: Counter
  private readonly sent: Counter
  private readonly malformedCount: Counter
  private readonly labels: Labels
  /** Cache for later requests with the same operation and status. */
  private readonly known = new Map<string, Map<number, RequestLabels>>()

  constructor(
    private readonly telemetry: Telemetry,
    private readonly server: string,
    now: { readonly connections: () => number; readonly inFlight: () => number; readonly waiting: () => number },
    private readonly watch: RequestWatch | undefined,
  ) {
    this.labels = Object.freeze({ server })
    const { metrics } = telemetry
    this.requests = metrics.counter("hayloft_http_requests_total", "Requests by server, operation and status")
    this.seconds = metrics.histogram(
      "hayloft_http_request_seconds",
      "Time from the headers to the last byte of the answer",
      SECONDS,
    )
    this.received = metrics.counter("hayloft_http_received_bytes_total", "Bytes of request bodies")
    this.sent = metrics.counter("hayloft_http_sent_bytes_total", "Bytes of answer bodies")
    this.malformedCount = metrics.counter(
      "hayloft_http_malformed_total",
      "Connections that sent bytes that are not a request",
    )
    metrics.gauge("hayloft_http_connections", "Open connections", () => [[this.labels, now.connections()]])
    metrics.gauge("hayloft_http_in_flight", "Requests being served", () => [[this.labels, now.inFlight()]])
    metrics.gauge("hayloft_http_waiting", "Requests waiting for a place", () => [[this.labels, now.waiting()]])
  }

  request(exchange: Served): void {
    const { status = 0, receivedBytes, sentBytes, notes } = exchange
    const labels = this.labelsOf(String(notes["operation"] ?? "none"), status)
    this.requests.add(labels.ofStatus)
    this.seconds.observe(exchange.timing.totalMs / 1000, labels.ofOperation)
    this.received.add(this.labels, receivedBytes)
    this.sent.add(this.labels, sentBytes)
    for (const meter of exchange.meters) meter.count(status, receivedBytes, sentBytes)
    this.watch?.finished(this.server, exchange)
    if (exchange.trace !== undefined) this.endTrace(exchange, exchange.trace)
    const level = isServerFault(status, notes) ? "warn" : "info"
    if (this.telemetry.log.writes(level)) this.telemetry.log[level]("request", this.fieldsOf(exchange, status))
  }

  private endTrace({ status = 0, notes, subject, requestId, method }: Served, trace: Span): void {
    const { failure } = notes
    trace.end({
      facts: {
        "http.request.method": method,
        "http.response.status_code": status,
        "hayloft.server": this.server,
        "hayloft.request_id": requestId,
        "hayloft.operation": String(notes["operation"] ?? "none"),
        "hayloft.bucket": subject?.bucketName,
        "hayloft.account": subject?.accountId,
      },
      ...(isServerFault(status, notes) && { error: failure ?? `status ${status}` }),
    })
  }

  private fieldsOf(exchange: Served, status: number): Fields {
    return {
      server: this.server,
      requestId: exchange.requestId,
      remote: exchange.remoteAddress,
      method: exchange.method,
      status,
      ...exchange.notes,
      receivedBytes: exchange.receivedBytes,
      sentBytes: exchange.sentBytes,
      ...(exchange.clientGone ? { clientGone: true } : {}),
      ...exchange.timing.fields(),
    }
  }

  private labelsOf(operation: string, status: number): RequestLabels {
    const ofOperation = this.known.get(operation)
    const known = ofOperation?.get(status)
    if (known !== undefined) return known
    const { server } = this
    const labels = {
      ofOperation: Object.freeze({ server, operation }),
      ofStatus: Object.freeze({ server, operation, status: String(status) }),
    }
    if (ofOperation !== undefined) ofOperation.set(status, labels)
    else if (this.known.size < LABELS_KNOWN_MAX) this.known.set(operation, new Map([[status, labels]]))
    return labels
  }

  malformed(requestId: string, code: string): void {
    this.malformedCount.add({ server: this.server })
    this.telemetry.log.info("malformed_request", { server: this.server, requestId, code })
  }
}
