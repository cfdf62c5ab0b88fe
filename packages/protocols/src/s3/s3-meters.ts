/**
 * Counts requests of S3: those of every protocol, requests signed with version 2, so that an operator sees who still needs
 * it before refusing it, and transactions.
 */
import type { SignatureForm } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { Counter, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { RequestMeters } from "../signed/index.js"

export class S3Meters extends RequestMeters {
  private readonly version2: Counter
  private readonly transactions: Counter

  constructor(metrics: Metrics) {
    super(metrics)
    this.version2 = metrics.counter("hayloft_signature_v2_requests_total", "Requests signed with signature version 2")
    this.transactions = metrics.counter("hayloft_transactions_total", "Transactions, by what became of them")
  }

  /** `form`: the place of the signature. */
  noteVersion2(form: SignatureForm): void {
    this.version2.of({ form }).add()
  }

  /** `failure` is undefined if the transaction was done, also by an earlier request with its token. */
  noteTransaction(failure: Failure | undefined): void {
    const isRefused = failure?.remedy === "fixRequest" || failure?.remedy === "signIn" || failure?.remedy === "reread"
    this.transactions.of({ outcome: failure === undefined ? "done" : isRefused ? "refused" : "failed" }).add()
  }
}
