/**
 * PutObject as it comes by the thousand: a small body that arrived with its head, in one piece, without
 * conditions and with nothing to store beside it but its content type.
 *
 * Promises  What is stored and answered is what the handler would store and answer (`quick.test.ts`
 *           compares them). Nothing is refused here before the tablet decides: whatever is not plain and
 *           in order is left to the handler.
 */
import { UNSIGNED_PAYLOAD } from "../access/index.js"
import { INLINE_BYTES_MAX } from "../base/limits.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { AtOnce, ContentHeaders, PutResult } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import { digestOnce } from "../seams/compute/index.js"
import { versionHeader } from "./operations/versions.js"
import { PlainShapes, Remembered, type QuickGate } from "./quick-gate.js"

/** Those of the `x-amz-` headers that leave a write as it is. */
const PLAIN_AMZ = new Set(["x-amz-date", "x-amz-content-sha256", "x-amz-user-agent"])
/** Others that say something of an object, or of its bytes. */
const SPEAKING = new Set(["cache-control", "content-disposition", "content-encoding", "content-language", "expires"])
const NO_HEADERS: ContentHeaders = {}

const isPlain = (name: string): boolean =>
  name.startsWith("x-amz-")
    ? PLAIN_AMZ.has(name)
    : !SPEAKING.has(name) && !name.startsWith("if-") && name !== "content-md5"

export class QuickPuts {
  private readonly plainShapes = new PlainShapes(isPlain)
  private readonly typed = new Remembered((contentType: string): ContentHeaders => ({ contentType }))
  private readonly idLine: string

  constructor(
    private readonly gate: QuickGate,
    private readonly atOnce: AtOnce,
    private readonly clock: Clock,
    hostId: string,
  ) {
    this.idLine = HeaderLines.of(["x-amz-id-2", hostId]).text
  }

  /** Undefined: not for here. Rejects with what the tablet refuses. */
  serve(exchange: Exchange, nowMs: number): Promise<void> | undefined {
    const { headers, timing, wholeBody: body } = exchange
    if (body === undefined || body.length === 0 || body.length > INLINE_BYTES_MAX) return undefined
    if (!this.plainShapes.has(headers.shape)) return undefined
    const startedMs = this.clock.monotonicMs()
    const admission = this.gate.admit(exchange, nowMs)
    if (admission === undefined) return undefined
    const { bucket, key, accessKeyId, payloadHash } = admission
    const admittedMs = this.clock.monotonicMs()
    if (payloadHash !== UNSIGNED_PAYLOAD && digestOnce("sha256", body, "hex") !== payloadHash) return undefined
    const md5 = Buffer.from(digestOnce("md5", body, "binary"), "latin1")
    const contentType = headers.get("content-type")
    const stored = contentType === undefined || contentType === "" ? NO_HEADERS : this.typed.of(contentType)
    exchange.note({ operation: "PutObject", bucket: bucket.name, accessKeyId })
    timing.add("auth", admittedMs - startedMs)
    return this.atOnce.put(bucket, key, stored, body, md5).then(result => {
      timing.add("meta", this.clock.monotonicMs() - admittedMs)
      return exchange.respond({ status: 200, headers: this.linesOf(exchange.requestId, result) })
    })
  }

  private linesOf(requestId: string, { etag, versionId }: PutResult): HeaderLines {
    const lines = HeaderLines.ofChecked(`x-amz-request-id: ${requestId}\r\n${this.idLine}ETag: "${etag}"\r\n`)
    return versionId === undefined ? lines : lines.and(versionHeader(versionId).flat())
  }
}
