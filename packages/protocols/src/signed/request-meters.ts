/**
 * Counts requests by bucket and by account: number, errors, bytes in and out.
 *
 * An account is counted once the signature is verified; a bucket once the caller has been admitted, so that
 * strangers can neither raise its figures nor add invented buckets to the list.
 * Requests that a quota has refused are counted too.
 * Limits  `METERED_MAX` buckets and as many accounts since the start; later ones are counted together.
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { AccountId, BucketName } from "@hayloft/base/ids.js"
import type { Exchange, RequestMeter } from "../http/index.js"
import type { Counter, Metrics } from "@hayloft/base/seams/telemetry/contract.js"

const METERED_MAX = 500
/** Not a valid bucket name. */
const OTHERS = "(other)"

export class RequestMeters {
  private readonly buckets: Meters
  private readonly accounts: Meters
  private readonly beyondQuota: Counter

  constructor(metrics: Metrics) {
    this.buckets = new Meters(metrics, "bucket", "let in to the bucket")
    this.accounts = new Meters(metrics, "account", "of the account's keys")
    this.beyondQuota = metrics.counter("hayloft_quota_refused_total", "Requests that a quota refused, by its kind")
  }

  noteFailure({ kind, details }: Failure): void {
    if (kind === "quotaExceeded") this.beyondQuota.of({ holder: String(details["holder"]) }).add()
  }

  /** The account has proved to send the request: it is charged and counted. */
  proved(exchange: Pick<Exchange, "proveAccount" | "countIn">, account: AccountId): void {
    exchange.proveAccount()
    exchange.countIn(this.ofAccount(account))
  }

  ofBucket(name: BucketName): RequestMeter {
    return this.buckets.of(name)
  }

  ofAccount(id: AccountId): RequestMeter {
    return this.accounts.of(id)
  }
}

const CLIENT_ERROR_STATUS = 400
const SERVER_ERROR_STATUS = 500

class Meters {
  private readonly known = new Map<string, RequestMeter>()
  private readonly requests: Counter
  private readonly errors: Counter
  private readonly received: Counter
  private readonly sent: Counter

  constructor(
    metrics: Metrics,
    private readonly label: "bucket" | "account",
    which: string,
  ) {
    const counter = (what: string, help: string) => metrics.counter(`hayloft_${label}_${what}_total`, help)
    this.requests = counter("requests", `Requests ${which}`)
    this.errors = counter("errors", `Requests ${which} that were answered with an error, by kind of status`)
    this.received = counter("received_bytes", `Bytes of request bodies, of requests ${which}`)
    this.sent = counter("sent_bytes", `Bytes of answer bodies, of requests ${which}`)
  }

  of(name: string): RequestMeter {
    const known = this.known.get(name)
    if (known !== undefined) return known
    if (this.known.size >= METERED_MAX) return this.known.get(OTHERS) ?? this.add(OTHERS)
    return this.add(name)
  }

  private add(name: string): RequestMeter {
    const labels = { [this.label]: name }
    const requests = this.requests.of(labels)
    const received = this.received.of(labels)
    const sent = this.sent.of(labels)
    const clientErrors = this.errors.of({ ...labels, status: "4xx" })
    const ownErrors = this.errors.of({ ...labels, status: "5xx" })
    const meter: RequestMeter = {
      count(status, receivedBytes, sentBytes) {
        requests.add()
        received.add(receivedBytes)
        sent.add(sentBytes)
        if (status >= CLIENT_ERROR_STATUS) (status < SERVER_ERROR_STATUS ? clientErrors : ownErrors).add()
      },
    }
    this.known.set(name, meter)
    return meter
  }
}
