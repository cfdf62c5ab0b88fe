/**
 * The records of the audit log as requests to a web service: POST of a batch of JSON lines.
 *
 * `x-hayloft-signature: t=MS,v1=HEX` has the HMAC-SHA-256 of `MS.BODY` under the shared secret, MS being the time in
 * milliseconds; `x-hayloft-batch: FIRST-LAST` the numbers of the records, by which a receiver knows a repeated batch.
 *
 * Promises  It connects to the address of the configuration only, and follows no redirection. A status from 200 to 299
 *           means that the batch has arrived; everything else is a failure, and the batch is sent again.
 * Limits    `WEBHOOK_LIMITS`.
 */
import { createHmac } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { limited } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import type { AuditBatch, AuditSink } from "./sink.js"

export const WEBHOOK_LIMITS = { timeoutMs: 10_000, answerBytesMax: 64 * KIB } as const

export class WebhookSink implements AuditSink {
  readonly name = "webhook"
  readonly gatherMs = 0

  constructor(
    private readonly web: WebServices,
    private readonly clock: Pick<Clock, "wallMs" | "alarm">,
    private readonly to: { readonly url: string; readonly secret: string },
  ) {}

  async deliver(lines: string, { first, last }: AuditBatch, signal: AbortSignal): Promise<void> {
    const { url, secret } = this.to
    const sentMs = this.clock.wallMs()
    const hmac = createHmac("sha256", secret).update(`${sentMs}.${lines}`).digest("hex")
    const headers = {
      "content-type": "application/x-ndjson",
      "x-hayloft-signature": `t=${sentMs},v1=${hmac}`,
      "x-hayloft-batch": `${first}-${last}`,
    }
    const request = { url, headers, body: Buffer.from(lines), authorities: undefined }
    const limit = { clock: this.clock, durationMs: WEBHOOK_LIMITS.timeoutMs }
    const { status } = await limited(limit, [signal], either =>
      this.web.post(request, WEBHOOK_LIMITS.answerBytesMax, either),
    )
    if (status < 200 || status > 299) throw fail("providerUnreachable", { url, reason: `status ${status}` })
  }
}
