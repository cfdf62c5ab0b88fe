/**
 * Reads request heads that are written in the plainest form of HTTP/1.1. All others go to Node's parser
 * (`unusual-head.ts`), which accepts or rejects them.
 *
 * Promises  Node's parser would read the same head in the same way (`head.test.ts` compares the two), so no client
 *           can make the two see different requests.
 * Refuses   Returns "other" for bytes outside of printable ASCII, a bare CR or LF, another version, `Upgrade`,
 *           `Trailer`, a `Transfer-Encoding` other than `chunked`, a `Connection` other than `keep-alive` and
 *           `close`; unless there is exactly one `Host` and at most one length of the body.
 * Limits    `LINES_MAX`, and the limit on the whole head that the caller passes.
 */
import type { Failure } from "@hayloft/base/failures.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import { ABSENT, type HeaderShape, RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { HeaderShapes } from "@hayloft/base/http/request-headers.js"

const LINES_MAX = 128

export interface RequestHead {
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  /** Declared length of the body; undefined if none is declared. */
  readonly contentLength: number | undefined
  /** The body is sent with `Transfer-Encoding: chunked`. */
  readonly isChunked: boolean
  /** The client waits for `100 Continue` before it sends the body. */
  readonly awaitsContinue: boolean
  /** The connection ends with the response. */
  readonly isLast: boolean
  /** The client uses HTTP/1.0, which has no chunks. */
  readonly isOldVersion: boolean
  /** The reason to refuse the request: the end of its body is ambiguous. */
  readonly fault: Failure | undefined
  /** Length of the head in bytes. */
  readonly headBytes: number
}

/** `incomplete`: the bytes may be the beginning of a plain head. */
type HeadReading = RequestHead | "incomplete" | "other"

const METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST"] as const
const VERSION = " HTTP/1.1"
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const LENGTH = /^\d{1,15}$/
/** The same pattern as Node's. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i
const OTHERS = ["upgrade", "trailer", "proxy-connection", "http2-settings"]
const [LF, CR, SPACE, COLON, TILDE] = [0x0a, 0x0d, 0x20, 0x3a, 0x7e]

/** For each line of the head being read: where it ends, and where its first colon is. */
const lineEnds = new Int32Array(LINES_MAX)
const colons = new Int32Array(LINES_MAX)

/** The header names decide whether heads with them can be plain; their values decide the rest. */
interface ShapeTerms {
  readonly isPlain: boolean
  readonly connectionAt: number
  readonly lengthAt: number
  readonly codingAt: number
  readonly expectAt: number
}

const shapeTerms = new RememberedByObject((shape: HeaderShape): ShapeTerms => {
  const [connectionAt, lengthAt] = [shape.placeOf("connection"), shape.placeOf("content-length")]
  const [codingAt, expectAt] = [shape.placeOf("transfer-encoding"), shape.placeOf("expect")]
  const isPlain =
    shape.rawNames.every(name => TOKEN.test(name)) &&
    OTHERS.every(name => shape.placeOf(name) === ABSENT) &&
    shape.placeOf("host") >= 0 &&
    [connectionAt, lengthAt, codingAt, expectAt].every(at => at >= ABSENT) &&
    (codingAt === ABSENT || lengthAt === ABSENT)
  return { isPlain, connectionAt, lengthAt, codingAt, expectAt }
})

/** Returns true if these headers ask for `100 Continue`. */
export const expectsContinue = (expect: string | undefined): boolean => expect !== undefined && CONTINUE.test(expect)

export class HeadReader {
  /** The header names of the last request of each method: the next request usually has the same. */
  private readonly expected = new Map<string, HeaderShape>()

  constructor(
    private readonly shapes: HeaderShapes,
    private readonly headBytesMax: number,
  ) {}

  read(bytes: Buffer): HeadReading {
    const lines = findLines(bytes, this.headBytesMax)
    if (typeof lines === "string") return lines
    const headEnd = lineEnds[lines] ?? 0
    const head = bytes.toString("latin1", 0, headEnd)
    const firstEnd = lineEnds[0] ?? 0
    const method = METHODS.find(name => head.startsWith(name) && head.charCodeAt(name.length) === SPACE)
    if (method === undefined || !head.endsWith(VERSION, firstEnd)) return "other"
    const rawTarget = head.slice(method.length + 1, firstEnd - VERSION.length)
    if (!rawTarget.startsWith("/") || rawTarget.includes(" ")) return "other"
    const headers = this.headersOf(head, lines, method)
    return headers === undefined ? "other" : plainHead(method, rawTarget, headers, headEnd + 2)
  }

  private headersOf(head: string, lines: number, method: string): RequestHeaders | undefined {
    const expected = this.expected.get(method)
    if (expected !== undefined) {
      const values = valuesOf(head, lines, expected)
      if (values !== undefined) return new RequestHeaders(expected, values)
    }
    const names: string[] = []
    for (let line = 1; line < lines; line += 1) {
      const colon = colons[line] ?? 0
      if (colon === 0) return undefined
      names.push(head.slice((lineEnds[line - 1] ?? 0) + 2, colon))
    }
    const shape = this.shapes.of(names)
    const values = valuesOf(head, lines, shape)
    if (values === undefined) return undefined
    this.expected.set(method, shape)
    return new RequestHeaders(shape, values)
  }
}

function plainHead(
  method: string,
  rawTarget: string,
  headers: RequestHeaders,
  headBytes: number,
): RequestHead | "other" {
  const { isPlain, connectionAt, lengthAt, codingAt, expectAt } = shapeTerms.of(headers.shape)
  if (!isPlain) return "other"
  const { values } = headers
  const connection = connectionAt < 0 ? undefined : values[connectionAt]?.toLowerCase()
  const isLast = connection === "close"
  if (connection !== undefined && !isLast && connection !== "keep-alive") return "other"
  const isChunked = codingAt >= 0
  if (isChunked && values[codingAt]?.toLowerCase() !== "chunked") return "other"
  const lengthText = lengthAt < 0 ? undefined : values[lengthAt]
  if (lengthText !== undefined && !LENGTH.test(lengthText)) return "other"
  const contentLength = lengthText === undefined ? undefined : Number(lengthText)
  const awaitsContinue = expectAt >= 0 && expectsContinue(values[expectAt])
  return {
    method,
    rawTarget,
    headers,
    contentLength,
    isChunked,
    awaitsContinue,
    isLast,
    isOldVersion: false,
    fault: undefined,
    headBytes,
  }
}

/** The values of a head with these names; undefined if its names differ. */
function valuesOf(head: string, lines: number, { rawNames }: HeaderShape): string[] | undefined {
  if (rawNames.length !== lines - 1) return undefined
  const values: string[] = []
  for (let line = 1; line < lines; line += 1) {
    const name = rawNames[line - 1] ?? ""
    const nameAt = (lineEnds[line - 1] ?? 0) + 2
    const colon = colons[line] ?? 0
    if (colon - nameAt !== name.length || !head.startsWith(name, nameAt)) return undefined
    let start = colon + 1
    let end = lineEnds[line] ?? 0
    while (start < end && head.charCodeAt(start) === SPACE) start += 1
    while (end > start && head.charCodeAt(end - 1) === SPACE) end -= 1
    values.push(head.slice(start, end))
  }
  return values
}

/**
 * Finds the lines of a head, including the empty last line, and returns the number of that line; the request
 * line is number 0.
 */
function findLines(bytes: Buffer, headBytesMax: number): number | "incomplete" | "other" {
  const end = Math.min(bytes.length, headBytesMax)
  let line = 0
  let lineAt = 0
  colons[0] = 0
  for (let at = 0; at < end; at += 1) {
    const byte = bytes[at] ?? 0
    if (byte >= SPACE && byte <= TILDE) {
      if (byte === COLON && colons[line] === 0) colons[line] = at
      continue
    }
    if (byte !== CR) return "other"
    if (at + 1 === end) break
    if (bytes[at + 1] !== LF) return "other"
    lineEnds[line] = at
    if (at === lineAt) return line > 1 ? line : "other"
    line += 1
    if (line === LINES_MAX) return "other"
    at += 1
    lineAt = at + 1
    colons[line] = 0
  }
  return bytes.length >= headBytesMax ? "other" : "incomplete"
}
