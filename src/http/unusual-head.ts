/**
 * Reads heads that `head.ts` leaves alone, with Node's parser: HTTP/1.0, other methods, values beyond ASCII, and
 * whatever is no request at all.
 *
 * Node's parser reads from a stream, one for each head, and answers into nothing: bodies and answers are the
 * connection's. So the parser is chosen for each request, and no connection stays with it.
 *
 * Promises  The parser gets the bytes of the head, as far as its empty line, and no byte behind it. A head that the
 *           parser sees end anywhere else is refused.
 * Limits    `headBytesMax` of names and values, `WIRE_FACTOR` times as much with everything around them.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { Duplex } from "node:stream"
import type { HeaderShapes } from "../base/request-headers.js"
import { framingFault } from "./framing-core.js"
import { asksToContinue, type RequestHead } from "./head.js"

const HEAD_END = "\r\n\r\n"
const NO_BYTES = Buffer.alloc(0)
/** `a:\r\n` has one byte that counts. */
const WIRE_FACTOR = 4

/** Why a head is none, as Node's parser names it; or one of these. */
export interface HeadError {
  readonly code: string
}

export const OVERFLOW: HeadError = { code: "HPE_HEADER_OVERFLOW" }
/** It has not come in time. */
export const LATE: HeadError = { code: "ERR_HTTP_REQUEST_TIMEOUT" }
/** The parser wants the connection closed without a word, as for `CONNECT`. */
export const NO_REQUEST: HeadError = { code: "no request" }
const DOUBTFUL_END: HeadError = { code: "doubtful end of the head" }

export type UnusualHeadReading = RequestHead | HeadError

export class UnusualHeads {
  private readonly server: Server
  /** From the parser, while it reads: it does all of its work before it returns. */
  private reading: UnusualHeadReading | undefined

  constructor(
    private readonly shapes: HeaderShapes,
    private readonly headBytesMax: number,
  ) {
    // The framing is checked by us, so that the answer is the protocol's.
    this.server = createServer({ maxHeaderSize: headBytesMax, insecureHTTPParser: false, requireHostHeader: false })
    // Node drops headers over its own count without a word; the block's size is the limit here.
    this.server.maxHeadersCount = 0
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      this.reading ??= this.headOf(request, response)
    }
    for (const event of ["request", "checkContinue", "checkExpectation"]) this.server.on(event, take)
    this.server.on("clientError", (error: Error & { code?: string }) => {
      this.reading ??= { code: error.code ?? "unknown" }
    })
  }

  begin(): UnusualHead {
    const stream = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() })
    this.server.emit("connection", stream)
    const read = (bytes: Buffer): UnusualHeadReading | undefined => {
      this.reading = undefined
      stream.emit("data", bytes)
      return this.reading ?? (stream.destroyed ? NO_REQUEST : undefined)
    }
    return new UnusualHead(read, () => stream.destroy(), WIRE_FACTOR * this.headBytesMax)
  }

  private headOf(request: IncomingMessage, response: ServerResponse): RequestHead {
    const { method = "", url: rawTarget = "", httpVersion } = request
    const headers = this.shapes.ofFlat(request.rawHeaders)
    const fault = framingFault({ httpVersion, headersAll: name => headers.all(name) })
    const isOldVersion = httpVersion === "1.0"
    const lengthText = headers.get("content-length")
    return {
      method,
      rawTarget,
      headers,
      // Of a request with a fault no body is read.
      contentLength: lengthText === undefined || fault !== undefined ? undefined : Number(lengthText),
      isChunked: fault === undefined && headers.has("transfer-encoding"),
      awaitsContinue: !isOldVersion && asksToContinue(headers.get("expect")),
      isLast: fault !== undefined || !response.shouldKeepAlive,
      isOldVersion,
      fault,
      headBytes: 0,
    }
  }
}

/** One head, in as many pieces as it comes in. */
export class UnusualHead {
  /** The last bytes before the next ones: the end of the head may lie across. */
  private tail = NO_BYTES
  private wireBytes = 0

  constructor(
    private readonly parse: (bytes: Buffer) => UnusualHeadReading | undefined,
    private readonly end: () => void,
    private readonly wireBytesMax: number,
  ) {}

  /** Takes the bytes of this head from the front of these. The outcome is undefined until all of it has come. */
  read(bytes: Buffer): { readonly usedBytes: number; readonly outcome: UnusualHeadReading | undefined } {
    const known = this.tail.length === 0 ? bytes : Buffer.concat([this.tail, bytes])
    const endAt = known.indexOf(HEAD_END, 0, "latin1")
    const isWhole = endAt >= 0
    const usedBytes = isWhole ? endAt + HEAD_END.length - this.tail.length : bytes.length
    this.wireBytes += usedBytes
    const outcome = isWhole ? this.parseEnd(bytes.subarray(0, usedBytes)) : this.parsePart(bytes)
    if (outcome !== undefined) this.end()
    // A copy, for the piece may be large.
    else this.tail = Buffer.from(known.subarray(-(HEAD_END.length - 1)))
    return { usedBytes, outcome }
  }

  private parsePart(bytes: Buffer): UnusualHeadReading | undefined {
    const early = bytes.length === 0 ? undefined : this.parse(bytes)
    if (early !== undefined) return "code" in early ? early : DOUBTFUL_END
    return this.wireBytes > this.wireBytesMax ? OVERFLOW : undefined
  }

  /** The head must end with its last byte, and not before. */
  private parseEnd(bytes: Buffer): UnusualHeadReading {
    const last = bytes.length - 1
    return this.parsePart(bytes.subarray(0, last)) ?? this.parse(bytes.subarray(last)) ?? DOUBTFUL_END
  }

  /** Gives up a head that will not come. */
  abandon(): void {
    this.end()
  }
}
