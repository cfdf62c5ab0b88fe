/**
 * GetObject and HeadObject as most clients send them: the latest version, whole, without conditions.
 * Nothing here waits.
 *
 * Promises  The answer is the one that the handler would give (`quick.test.ts` compares them). Nothing is
 *           refused here: whatever is not plain and in order is left to the handler.
 */
import { httpDate } from "../base/dates.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { AtOnce, ContentHeaders, ObjectNow } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Field } from "./failures.js"
import { storedFields } from "./operations/get-object.js"
import { checksumFields } from "./operations/put-object.js"
import { versionHeader } from "./operations/versions.js"
import { CROSS_ORIGIN, PlainShapes, type QuickGate } from "./quick-gate.js"

const CHECKSUM_MODE = "x-amz-checksum-mode"
/** Those of the `x-amz-` headers that leave a read as it is, or are seen to. */
const PLAIN_AMZ = new Set(["x-amz-date", "x-amz-content-sha256", "x-amz-user-agent", CHECKSUM_MODE])

const isPlain = (name: string): boolean =>
  name.startsWith("x-amz-") ? PLAIN_AMZ.has(name) : name !== "range" && name !== CROSS_ORIGIN && !name.startsWith("if-")

export class QuickReads {
  private readonly plainShapes = new PlainShapes(isPlain)
  /** As answers show them. */
  private readonly shown = new WeakMap<ContentHeaders, string>()

  constructor(
    private readonly gate: QuickGate,
    private readonly atOnce: AtOnce,
    private readonly clock: Clock,
    private readonly hostId: string,
  ) {}

  /** Undefined: not answered here. Otherwise what `respond` gave, in a box since that may be undefined too. */
  serve(exchange: Exchange, nowMs: number): { readonly responding: Promise<void> | undefined } | undefined {
    const { headers, timing } = exchange
    if ((exchange.contentLength ?? 0) > 0 || !this.plainShapes.has(headers.shape)) return undefined
    const checksumMode = headers.get(CHECKSUM_MODE)
    if (checksumMode !== undefined && checksumMode !== "ENABLED") return undefined
    const startedMs = this.clock.monotonicMs()
    const admission = this.gate.admit(exchange, nowMs)
    if (admission === undefined) return undefined
    const admittedMs = this.clock.monotonicMs()
    const isHead = exchange.method === "HEAD"
    const { bucket, key } = admission
    const object = this.atOnce.object(bucket, key, isHead)
    if (object === undefined) return undefined
    this.gate.note(exchange, isHead ? "HeadObject" : "GetObject", admission)
    timing.add("auth", admittedMs - startedMs)
    timing.add("meta", this.clock.monotonicMs() - admittedMs)
    const lines = this.linesOf(exchange.requestId, object, checksumMode !== undefined)
    const { whole } = object
    // Written out, since a literal that spreads another costs more than all the rest of this function.
    if (isHead || whole === undefined) {
      return { responding: exchange.respond({ status: 200, headers: lines, contentLength: object.sizeBytes }) }
    }
    return { responding: exchange.respond({ status: 200, headers: lines, body: whole, isLent: true }) }
  }

  private linesOf(requestId: string, object: ObjectNow, showsChecksum: boolean): HeaderLines {
    const { etag, lastModifiedMs, versionId, userMetadata, tagCount, checksum } = object
    const text = `x-amz-request-id: ${requestId}\r\n${this.shownOf(object.headers)}ETag: "${etag}"\r\nLast-Modified: ${httpDate(lastModifiedMs)}\r\n`
    const isPlain = versionId === undefined && userMetadata.length === 0 && tagCount === 0 && !showsChecksum
    const lines = HeaderLines.ofChecked(text)
    return isPlain ? lines : lines.and(furtherFields(object, showsChecksum ? checksum : undefined))
  }

  /** The lines that are the same for all objects with the same stored headers. */
  private shownOf(headers: ContentHeaders): string {
    const known = this.shown.get(headers)
    if (known !== undefined) return known
    const fields = [["x-amz-id-2", this.hostId], ...storedFields(headers), ["Accept-Ranges", "bytes"]]
    const shown = HeaderLines.of(fields.flat()).text
    this.shown.set(headers, shown)
    return shown
  }
}

function furtherFields({ versionId, userMetadata, tagCount }: ObjectNow, checksum: ObjectNow["checksum"]): string[] {
  const fields: Field[] = [...versionHeader(versionId)]
  for (const [name, value] of userMetadata) fields.push([`x-amz-meta-${name}`, value])
  if (tagCount > 0) fields.push(["x-amz-tagging-count", String(tagCount)])
  return [...fields, ...checksumFields(checksum)].flat()
}
