/**
 * GetObject and HeadObject as most clients send them: the latest version, whole or a range of it, or as
 * conditions ask for it. Nothing here waits but for bytes that are not at hand.
 *
 * Promises  The answer is the one that the handler would give (`quick.test.ts` compares them). Refused is only what
 *           is not there or not as the conditions want it: all else that is not plain and in order is left to the handler.
 */
import { httpDate } from "../base/dates.js"
import { isFailure } from "../base/failures.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { AtOnce, ByteRange, ContentHeaders, ObjectNow } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Field } from "./failures.js"
import { storedFields } from "./operations/get-object.js"
import { checksumFields } from "./operations/put-object.js"
import { versionHeader } from "./operations/versions.js"
import { readConditionsOf } from "./parse-conditions.js"
import { ByShape, leavesAsItIs, type QuickGate } from "./quick-gate.js"
import { actionsOf, NEEDS } from "./rights/needs-core.js"
import { parseRange } from "./wire/range.js"

const RANGE = "range"
const CHECKSUM_MODE = "x-amz-checksum-mode"

/** Of a version none of the requests here speaks. */
const ACTIONS = actionsOf(NEEDS.getObject, new Map(), false)
const [GET, HEAD] = [
  { name: "GetObject", actions: ACTIONS },
  { name: "HeadObject", actions: ACTIONS },
] as const

const CONDITIONS = new Set(["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"])

const isPlain = (name: string): boolean => leavesAsItIs(name) || name === CHECKSUM_MODE || CONDITIONS.has(name)

export class QuickReads {
  private readonly shapes = new ByShape(({ names }) =>
    names.every(isPlain) ? { isConditional: names.some(name => CONDITIONS.has(name)) } : undefined,
  )
  /** As answers show them. */
  private readonly shown = new WeakMap<ContentHeaders, string>()

  constructor(
    private readonly gate: QuickGate,
    private readonly atOnce: AtOnce,
    private readonly clock: Clock,
  ) {}

  /**
   * Undefined: not answered here. Otherwise what `respond` gave, in a box since that may be undefined too; rejects
   * with what is refused, and where bytes cannot be had.
   */
  serve(exchange: Exchange, nowMs: number): { readonly responding: Promise<void> | undefined } | undefined {
    const { headers, timing } = exchange
    const shape = this.shapes.of(headers.shape)
    if ((exchange.contentLength ?? 0) > 0 || shape === undefined) return undefined
    const checksumMode = headers.get(CHECKSUM_MODE)
    if (checksumMode !== undefined && checksumMode !== "ENABLED") return undefined
    const startedMs = this.clock.monotonicMs()
    const isHead = exchange.method === "HEAD"
    const admission = this.gate.admit(exchange, nowMs, isHead ? HEAD : GET)
    if (admission === undefined) return undefined
    const admittedMs = this.clock.monotonicMs()
    const { bucket, key } = admission
    const rangeText = headers.get(RANGE)
    const range = rangeText === undefined ? undefined : parseRange(rangeText)
    const conditions = shape.isConditional ? readConditionsOf(headers, nowMs) : undefined
    const object = this.atOnce.object(bucket, key, { headersOnly: isHead, range, conditions })
    if (object === undefined || (isFailure(object, "noSuchKey") && !admission.hearsOfAbsence())) return undefined
    this.gate.note(exchange, admission)
    timing.add("auth", admittedMs - startedMs)
    timing.add("meta", this.clock.monotonicMs() - admittedMs)
    if (isFailure(object)) return { responding: Promise.reject(object) }
    const lines = this.linesOf(exchange.requestId, object, checksumMode !== undefined)
    return { responding: respond(exchange, lines, object) }
  }

  private linesOf(requestId: string, object: ObjectNow, showsChecksum: boolean): HeaderLines {
    const { etag, lastModifiedMs, versionId, userMetadata, tagCount, range } = object
    const checksum = showsChecksum && range === undefined ? object.checksum : undefined
    const text = `${this.gate.idLines(requestId)}${this.shownOf(object.headers)}ETag: "${etag}"\r\nLast-Modified: ${httpDate(lastModifiedMs)}\r\n`
    const isPlain = versionId === undefined && userMetadata.length === 0 && tagCount === 0 && checksum === undefined
    const lines = HeaderLines.ofChecked(range === undefined ? text : text + contentRange(object, range))
    return isPlain ? lines : lines.and(furtherFields(object, checksum))
  }

  /** The lines that are the same for all objects with the same stored headers. */
  private shownOf(headers: ContentHeaders): string {
    const known = this.shown.get(headers)
    if (known !== undefined) return known
    const fields = [...storedFields(headers), ["Accept-Ranges", "bytes"]]
    const shown = HeaderLines.of(fields.flat()).text
    this.shown.set(headers, shown)
    return shown
  }
}

/** Literals are written out: one that spreads another costs more than all the rest of a request here. */
function respond(exchange: Exchange, headers: HeaderLines, object: ObjectNow): Promise<void> | undefined {
  const { sizeBytes, range, whole, stored } = object
  const status = range === undefined ? 200 : 206
  if (whole !== undefined) return exchange.respond({ status, headers, body: whole, isLent: true })
  const contentLength = range === undefined ? sizeBytes : range.lengthBytes
  if (stored === undefined) return exchange.respond({ status, headers, contentLength })
  const lent = stored.now()
  if (lent === undefined) {
    return exchange.respond({ status, headers, contentLength, body: stored.read(exchange.signal) })
  }
  const responding = exchange.respond({ status, headers, body: lent.bytes })
  // Once it is over nothing looks at them any more: they are handed over, or the connection is closed.
  if (responding !== undefined) return responding.finally(() => lent.giveBack())
  lent.giveBack()
  return undefined
}

const contentRange = ({ sizeBytes }: ObjectNow, { first, lengthBytes }: ByteRange): string =>
  `Content-Range: bytes ${first}-${first + lengthBytes - 1}/${sizeBytes}\r\n`

function furtherFields({ versionId, userMetadata, tagCount }: ObjectNow, checksum: ObjectNow["checksum"]): string[] {
  const fields: Field[] = [...versionHeader(versionId)]
  for (const [name, value] of userMetadata) fields.push([`x-amz-meta-${name}`, value])
  if (tagCount > 0) fields.push(["x-amz-tagging-count", String(tagCount)])
  return [...fields, ...checksumFields(checksum)].flat()
}
