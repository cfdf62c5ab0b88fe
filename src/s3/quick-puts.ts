/**
 * PutObject as it comes by the thousand: a small body of a declared length, without settings; as SDKs send
 * it by default, with metadata of the client's own and a checksum before the body or, in chunks without signatures,
 * behind it; and on condition that nothing or one thing is there.
 *
 * Promises  What is stored and answered is what the handler would store and answer (`quick.test.ts`
 *           compares them). Nothing is refused here before the tablet decides: whatever is not plain and
 *           in order is left to the handler.
 * Limits    What stands beside objects is remembered by its text, up to `BESIDE_CHARACTERS_MAX`.
 */
import type { HeaderShape, RequestHeaders } from "../base/request-headers.js"
import { unlessRefused } from "../base/failures.js"
import { HeaderLines, type Exchange } from "../http/index.js"
import type { AtOnce, PutResult, StoredBeside } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/index.js"
import { ACL_HEADER, isForOwner } from "./acl/asked-acl.js"
import { GatheredMd5 } from "./gathered-md5.js"
import { checkHeader } from "./headers.js"
import { checksumFields } from "./operations/put-object.js"
import { writtenVersionHeader } from "./operations/versions.js"
import { writeConditionsOf } from "./parse-conditions.js"
import { contentHeadersOf, userMetadataOf } from "./parse-content.js"
import { actionsOf, NEEDS } from "./rights/needs-core.js"
import {
  bodyPromiseOf,
  bodyShapeOf,
  isOfBody,
  keptBodyOf,
  mayHold,
  type BodyPromise,
  type BodyShape,
} from "./quick-body.js"
import { ByShape, leavesAsItIs, Remembered, type Admission, type QuickGate, type QuickOperation } from "./quick-gate.js"

const META = "x-amz-meta-"
/** Those of the `x-amz-` headers that leave a write as it is, with the values that the table of headers accepts. */
const CHECKED_AMZ = new Set(["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm", ACL_HEADER])
const IF_MATCH = "if-match"
const CONDITIONS = new Set([IF_MATCH, "if-none-match"])
const CONTENT_TYPE = "content-type"
/** Stored beside the bytes, as user metadata is. */
const STORED = new Set([CONTENT_TYPE, "cache-control", "content-disposition", "content-language", "expires"])
const BESIDE_CHARACTERS_MAX = 512

type PlacedName = readonly [name: string, at: number]

/** What the names of a request's headers say of it. */
interface PutShape {
  /** Names and places of what is stored beside the bytes. */
  readonly stored: readonly PlacedName[]
  /** Of those whose values the table judges. */
  readonly checked: readonly PlacedName[]
  readonly body: BodyShape
  readonly isConditional: boolean
  /** Whether it asks for something to be there. */
  readonly needsObject: boolean
  readonly operation: QuickOperation
}

/** What the head of a request says. */
interface AskedPut {
  readonly admission: Admission
  readonly shape: PutShape
  readonly beside: StoredBeside
  readonly promise: BodyPromise
  readonly authMs: number
}

export class QuickPuts {
  private readonly shapes = new ByShape(judgeShape)
  private readonly accepted = new Remembered(isAccepted)
  private readonly beside = new Remembered(besideIn)
  private readonly md5s: GatheredMd5

  constructor(
    private readonly gate: QuickGate,
    private readonly atOnce: AtOnce,
    private readonly clock: Clock,
    private readonly hash: Compute["hash"],
  ) {
    this.md5s = new GatheredMd5(clock, atOnce.putBytesMax)
  }

  /**
   * Undefined: not for here; where that shows only when the body has come, `otherwise` is asked. Rejects with
   * what the tablet refuses, and with what went wrong with the body.
   */
  serve(exchange: Exchange, nowMs: number, otherwise: () => Promise<void>): Promise<void> | undefined {
    const { headers, wholeBody: bytes, contentLength } = exchange
    if (contentLength === undefined || contentLength > this.atOnce.putBytesMax || exchange.chunkedTransfer)
      return undefined
    const shape = this.shapes.of(headers.shape)
    if (shape === undefined) return undefined
    const startedMs = this.clock.monotonicMs()
    const admission = this.gate.admit(exchange, nowMs, shape.operation)
    if (admission === undefined || (shape.needsObject && !admission.hearsOfAbsence())) return undefined
    const authMs = this.clock.monotonicMs() - startedMs
    const { values } = headers
    for (const [name, at] of shape.checked) if (!this.accepted.of(`${name}: ${values[at] ?? ""}`)) return undefined
    const lines = linesIn(shape.stored, headers)
    const beside = lines.length > BESIDE_CHARACTERS_MAX ? besideIn(lines) : this.beside.of(lines)
    if (beside === undefined) return undefined
    const promise = bodyPromiseOf(shape.body, values, admission.payloadHash)
    if (promise === undefined) return undefined
    const asked = { admission, shape, beside, promise, authMs }
    if (bytes !== undefined) return this.put(exchange, asked, bytes)
    // No body is asked for that may be in vain.
    if (shape.isConditional || !mayHold(promise)) return undefined
    return exchange.gather().then(
      gathered => this.put(exchange, asked, gathered) ?? otherwise(),
      (error: unknown) => {
        this.note(exchange, asked)
        throw error
      },
    )
  }

  private note(exchange: Exchange, { admission, authMs }: AskedPut): void {
    this.gate.note(exchange, admission)
    exchange.timing.add("auth", authMs)
  }

  private put(exchange: Exchange, asked: AskedPut, body: Uint8Array): Promise<void> | undefined {
    const { admission, shape, beside, promise } = asked
    const { bucket, key } = admission
    const startedMs = this.clock.monotonicMs()
    const kept = keptBodyOf(promise, body, this.hash)
    if (kept === undefined) return undefined
    const { bytes, checksum } = kept
    this.note(exchange, asked)
    const conditions = shape.isConditional ? writeConditionsOf(exchange.headers) : NO_CONDITIONS
    const put = (md5: Uint8Array): Promise<void> =>
      this.atOnce.put({ bucket, key, conditions, beside, bytes, md5, checksum }).then(
        result => {
          this.md5s.ended()
          exchange.timing.add("meta", this.clock.monotonicMs() - startedMs)
          return exchange.respond({ status: 200, headers: this.linesOf(exchange.requestId, result) })
        },
        (error: unknown) => {
          this.md5s.ended()
          throw error
        },
      )
    const md5 = this.md5s.of(bytes)
    return md5 instanceof Promise ? md5.then(put) : put(md5)
  }

  private linesOf(requestId: string, { etag, versionId, checksum }: PutResult): HeaderLines {
    const lines = HeaderLines.ofChecked(`${this.gate.idLines(requestId)}ETag: "${etag}"\r\n`)
    if (versionId === undefined && checksum === undefined) return lines
    return lines.and([...writtenVersionHeader(versionId), ...checksumFields(checksum)].flat())
  }
}

const NO_CONDITIONS = {}

/** Undefined where requests of the shape are not for here. */
function judgeShape({ names }: HeaderShape): PutShape | undefined {
  const placed = names.map((name, at): PlacedName => [name, at])
  const isPlain = (name: string): boolean =>
    leavesAsItIs(name) || isOfBody(name) || CHECKED_AMZ.has(name) || name.startsWith(META) || CONDITIONS.has(name)
  const body = bodyShapeOf(names)
  if (body === undefined || !names.every(isPlain)) return undefined
  if (new Set(names).size < names.length) return undefined
  return {
    stored: placed.filter(([name]) => STORED.has(name) || name.startsWith(META)),
    checked: placed.filter(([name]) => CHECKED_AMZ.has(name)),
    body,
    isConditional: names.some(name => CONDITIONS.has(name)),
    needsObject: names.includes(IF_MATCH),
    // Which actions it needs follows from names alone.
    operation: {
      name: "PutObject",
      actions: actionsOf(NEEDS.putObject, new Map(names.map(name => [name, ""])), false),
    },
  }
}

/** Each header with its line end, which no value holds. */
function linesIn(places: readonly PlacedName[], { values }: RequestHeaders): string {
  let lines = ""
  for (const [name, at] of places) lines += `${name}: ${values[at] ?? ""}\n`
  return lines
}

/** Undefined where the handler has to say what is wrong with it. */
function besideIn(lines: string): StoredBeside | undefined {
  const headers = new Map(lines.split("\n").slice(0, -1).map(pairOfLine))
  return unlessRefused(() => ({ headers: contentHeadersOf(headers), userMetadata: userMetadataOf(headers) }))
}

/** Whether a line is one that the table of headers accepts, and that changes nothing. */
function isAccepted(line: string): boolean {
  const [name, value] = pairOfLine(line)
  if (name === ACL_HEADER) return isForOwner(value)
  const accepted = unlessRefused(() => {
    checkHeader(name, value)
    return true
  })
  return accepted ?? false
}

function pairOfLine(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(":")
  return [line.slice(0, colon), line.slice(colon + 2)]
}
