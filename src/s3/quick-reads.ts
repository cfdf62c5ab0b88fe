/**
 * GetObject and HeadObject as most clients send them: the latest version, whole, without conditions.
 * Nothing here waits.
 *
 * Promises  The answer is the one that the handler would give (`quick.test.ts` compares them). Nothing is
 *           refused here: whatever is not plain and in order is left to the handler.
 */
import { httpDate } from "../base/dates.js"
import type { HeaderShape } from "../base/request-headers.js"
import type { Exchange } from "../http/index.js"
import type { AtOnce, ContentHeaders, ObjectNow } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import { storedFields } from "./operations/get-object.js"
import { checksumFields } from "./operations/put-object.js"
import type { QuickGate } from "./quick-gate.js"

const CHECKSUM_MODE = "x-amz-checksum-mode"
/** Those of the `x-amz-` headers that leave a read as it is, or are seen to. */
const PLAIN_AMZ = new Set(["x-amz-date", "x-amz-content-sha256", "x-amz-user-agent", CHECKSUM_MODE])

const isPlain = (name: string): boolean =>
  name.startsWith("x-amz-") ? PLAIN_AMZ.has(name) : name !== "range" && !name.startsWith("if-")

export class QuickReads {
  private readonly plainShapes = new WeakMap<HeaderShape, boolean>()
  /** As answers show them, name and value in turn. */
  private readonly shown = new WeakMap<ContentHeaders, readonly string[]>()

  constructor(
    private readonly gate: QuickGate,
    private readonly atOnce: AtOnce,
    private readonly clock: Clock,
    private readonly hostId: string,
  ) {}

  /** Undefined: not answered here. Otherwise what `respond` gave, in a box since that may be undefined too. */
  serve(exchange: Exchange, nowMs: number): { readonly responding: Promise<void> | undefined } | undefined {
    const { headers, timing } = exchange
    if ((exchange.contentLength ?? 0) > 0 || !this.isPlain(headers.shape)) return undefined
    const checksumMode = headers.get(CHECKSUM_MODE)
    if (checksumMode !== undefined && checksumMode !== "ENABLED") return undefined
    const startedMs = this.clock.monotonicMs()
    const admission = this.gate.admit(exchange, nowMs)
    if (admission === undefined) return undefined
    const admittedMs = this.clock.monotonicMs()
    const isHead = exchange.method === "HEAD"
    const { bucket, key, accessKeyId } = admission
    const object = this.atOnce.object(bucket, key, isHead)
    if (object === undefined) return undefined
    exchange.note({ operation: isHead ? "HeadObject" : "GetObject", bucket: bucket.name, accessKeyId })
    timing.add("auth", admittedMs - startedMs)
    timing.add("meta", this.clock.monotonicMs() - admittedMs)
    const answer = { status: 200, headers: this.headersOf(exchange.requestId, object, checksumMode !== undefined) }
    const body = object.whole
    return {
      responding: exchange.respond(
        isHead ? { ...answer, contentLength: object.sizeBytes } : { ...answer, ...(body && { body }) },
      ),
    }
  }

  private isPlain(shape: HeaderShape): boolean {
    const known = this.plainShapes.get(shape)
    if (known !== undefined) return known
    const plain = shape.names.every(isPlain)
    this.plainShapes.set(shape, plain)
    return plain
  }

  private headersOf(requestId: string, object: ObjectNow, showsChecksum: boolean): string[] {
    const fields = ["x-amz-request-id", requestId, "x-amz-id-2", this.hostId]
    for (const text of this.shownOf(object.headers)) fields.push(text)
    fields.push("ETag", `"${object.etag}"`, "Last-Modified", httpDate(object.lastModifiedMs), "Accept-Ranges", "bytes")
    if (object.versionId !== undefined) fields.push("x-amz-version-id", object.versionId)
    for (const [name, value] of object.userMetadata) fields.push(`x-amz-meta-${name}`, value)
    if (object.tagCount > 0) fields.push("x-amz-tagging-count", String(object.tagCount))
    if (showsChecksum) fields.push(...checksumFields(object.checksum).flat())
    return fields
  }

  private shownOf(headers: ContentHeaders): readonly string[] {
    const known = this.shown.get(headers)
    if (known !== undefined) return known
    const shown = storedFields(headers).flat()
    this.shown.set(headers, shown)
    return shown
  }
}
