/**
 * Reads the heads that `head.ts` declines, with Node's parser: HTTP/1.0, other methods, values beyond ASCII, and
 * bytes that are not a request at all.
 *
 * Node's parser reads each head from a stream of its own, and its output is discarded: the connection handles bodies
 * and responses. So the parser is chosen for each request, and no connection is bound to it.
 *
 * Promises  The parser receives the bytes of the head up to its empty line, and no byte after it. A head that the
 *           parser ends anywhere else is refused.
 * Limits    `headBytesMax` for names and values, `WIRE_FACTOR` times as much with everything around them.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { Duplex } from "node:stream"
import type { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { framingFault } from "./framing-core.js"
import { expectsContinue, type RequestHead } from "./head.js"

const HEAD_END = "\r\n\r\n"
const NO_BYTES = Buffer.alloc(0)
/** In `a:\r\n` one byte counts against the limit. */
const WIRE_FACTOR = 4

/** The reason why a head is invalid: the code of Node's parser, or one of the codes below. */
export interface HeadError {
  readonly code: string
}

export const OVERFLOW: HeadError = { code: "HPE_HEADER_OVERFLOW" }
/** The head did not arrive in time. */
export const LATE: HeadError = { code: "ERR_HTTP_REQUEST_TIMEOUT" }
/** The parser closes the connection without a response, as for `CONNECT`. */
export const NO_REQUEST: HeadError = { code: "no request" }
const DOUBTFUL_END: HeadError = { code: "doubtful end of the head" }

export type UnusualHeadReading = RequestHead | HeadError

export class UnusualHeads {
  private readonly server: Server
  /** Result of the parser, which runs synchronously. */
  private reading: UnusualHeadReading | undefined

  constructor(
    private readonly shapes: HeaderShapes,
    private readonly headBytesMax: number,
  ) {
    // The framing is checked here, so that the protocol writes the response.
    this.server = createServer({ maxHeaderSize: headBytesMax, insecureHTTPParser: false, requireHostHeader: false })
    // Node silently drops headers over its own count; here the limit is the size of the head.
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
      // The body of a request with a fault is never read.
      contentLength: lengthText === undefined || fault !== undefined ? undefined : Number(lengthText),
      isChunked: fault === undefined && headers.has("transfer-encoding"),
      awaitsContinue: !isOldVersion && expectsContinue(headers.get("expect")),
      isLast: fault !== undefined || !response.shouldKeepAlive,
      isOldVersion,
      fault,
      headBytes: 0,
    }
  }
}

/** One head, in as many pieces as it arrives in. */
export class UnusualHead {
  /** The last bytes of the previous pieces: the end of the head may span two pieces. */
  private tail = NO_BYTES
  private wireBytes = 0

  constructor(
    private readonly parse: (bytes: Buffer) => UnusualHeadReading | undefined,
    private readonly end: () => void,
    private readonly wireBytesMax: number,
  ) {}

  /** Consumes the bytes of this head from the front of `bytes`. The outcome is undefined until the head is complete. */
  read(bytes: Buffer): { readonly usedBytes: number; readonly outcome: UnusualHeadReading | undefined } {
    const known = this.tail.length === 0 ? bytes : Buffer.concat([this.tail, bytes])
    const endAt = known.indexOf(HEAD_END, 0, "latin1")
    const isWhole = endAt >= 0
    const usedBytes = isWhole ? endAt + HEAD_END.length - this.tail.length : bytes.length
    this.wireBytes += usedBytes
    const outcome = isWhole ? this.parseEnd(bytes.subarray(0, usedBytes)) : this.parsePart(bytes)
    if (outcome !== undefined) this.end()
    // A copy, so that a large piece is not retained.
    else this.tail = Buffer.from(known.subarray(-(HEAD_END.length - 1)))
    return { usedBytes, outcome }
  }

  private parsePart(bytes: Buffer): UnusualHeadReading | undefined {
    const early = bytes.length === 0 ? undefined : this.parse(bytes)
    if (early !== undefined) return "code" in early ? early : DOUBTFUL_END
    return this.wireBytes > this.wireBytesMax ? OVERFLOW : undefined
  }

  /** The parser must end the head with its last byte, not earlier. */
  private parseEnd(bytes: Buffer): UnusualHeadReading {
    const last = bytes.length - 1
    return this.parsePart(bytes.subarray(0, last)) ?? this.parse(bytes.subarray(last)) ?? DOUBTFUL_END
  }

  /** Gives up an incomplete head. */
  abandon(): void {
    this.end()
  }
}
