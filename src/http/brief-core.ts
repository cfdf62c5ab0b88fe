/**
 * Reads brief requests: those that lie in memory as a whole and are written in the plainest way that
 * HTTP/1.1 knows. Whatever else comes is Node's parser to judge, and this says nothing of it.
 *
 * Promises  What is read here Node's parser would read in the same way (`brief-core.test.ts` compares
 *           them), so that nobody can make the two see different requests.
 * Refuses   By answering "other": bytes outside of printable ASCII, a bare CR or LF, another version,
 *           Transfer-Encoding, Expect, Upgrade, Trailer, a Connection that is not keep-alive; not
 *           exactly one Host, more than one Content-Length.
 * Limits    `BRIEF_BODY_BYTES_MAX`, `LINES_MAX`, and the limit of the whole head that it is given.
 */
import { KIB } from "../base/limits.js"
import { ABSENT, type HeaderShape, RequestHeaders } from "../base/request-headers.js"
import type { HeaderShapes } from "../base/request-headers.js"

/** Larger bodies are streamed, so that their senders are held back. */
export const BRIEF_BODY_BYTES_MAX = 64 * KIB
const LINES_MAX = 128

export interface BriefRequest {
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  /** Declared; undefined where none is. */
  readonly contentLength: number | undefined
  readonly body: Uint8Array
  /** Where the next request begins. */
  readonly endAt: number
}

/** `incomplete`: what is there may be the beginning of a brief request. */
export type BriefReading = BriefRequest | "incomplete" | "other"

const METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST"] as const
const VERSION = " HTTP/1.1"
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const LENGTH = /^\d{1,9}$/
const OTHERS = ["transfer-encoding", "expect", "upgrade", "trailer", "proxy-connection", "http2-settings"]
const [LF, CR, SPACE, COLON, TILDE] = [0x0a, 0x0d, 0x20, 0x3a, 0x7e]
const NO_BYTES = new Uint8Array()

/** Where the lines of the head that is being read end, and the first colon of each. */
const lineEnds = new Int32Array(LINES_MAX)
const colons = new Int32Array(LINES_MAX)

/** Whether requests of a shape can be brief; their values decide the rest. */
interface ShapeTerms {
  readonly isPlain: boolean
  readonly connectionAt: number
  readonly lengthAt: number
}

const knownTerms = new WeakMap<HeaderShape, ShapeTerms>()

function termsOf(shape: HeaderShape): ShapeTerms {
  const known = knownTerms.get(shape)
  if (known !== undefined) return known
  const [connectionAt, lengthAt] = [shape.placeOf("connection"), shape.placeOf("content-length")]
  const isPlain =
    shape.rawNames.every(name => TOKEN.test(name)) &&
    OTHERS.every(name => shape.placeOf(name) === ABSENT) &&
    shape.placeOf("host") >= 0 &&
    connectionAt >= ABSENT &&
    lengthAt >= ABSENT
  const terms = { isPlain, connectionAt, lengthAt }
  knownTerms.set(shape, terms)
  return terms
}

export class BriefReader {
  /** Of the last request by method: the next one usually has the same. */
  private readonly expected = new Map<string, HeaderShape>()

  constructor(
    private readonly shapes: HeaderShapes,
    private readonly headBytesMax: number,
  ) {}

  read(bytes: Buffer): BriefReading {
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
    if (headers === undefined) return "other"
    const { isPlain, connectionAt, lengthAt } = termsOf(headers.shape)
    if (!isPlain) return "other"
    if (connectionAt >= 0 && headers.values[connectionAt]?.toLowerCase() !== "keep-alive") return "other"
    const bodyAt = headEnd + 2
    const lengthText = lengthAt < 0 ? undefined : headers.values[lengthAt]
    if (lengthText === undefined) {
      return { method, rawTarget, headers, contentLength: undefined, body: NO_BYTES, endAt: bodyAt }
    }
    const contentLength = LENGTH.test(lengthText) ? Number(lengthText) : Infinity
    if (contentLength > BRIEF_BODY_BYTES_MAX) return "other"
    const endAt = bodyAt + contentLength
    if (endAt > bytes.length) return "incomplete"
    const body = contentLength === 0 ? NO_BYTES : bytes.subarray(bodyAt, endAt)
    return { method, rawTarget, headers, contentLength, body, endAt }
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

/** The values of a head with these names; undefined where its names are others. */
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
 * Finds the lines of a head, its empty last one included, and returns the number of that; the request
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
