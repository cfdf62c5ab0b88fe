/**
 * One request on a Node connection, as protocols see it.
 *
 * Promises  The answer is whole or the connection breaks. An answer that comes before the body was
 *           read reaches the client: what the client still sends is taken for a bounded while, then
 *           the connection is closed.
 * Limits    `GATHERED_BYTES_MAX`, `drainBytesMax`, `drainMs`, `bytesPerSecondMin` over `sendWindowMs` and `receiveWindowMs`.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { TLSSocket } from "node:tls"
import { assert } from "../base/assert.js"
import { concatBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import { httpDate } from "../base/dates.js"
import type { PieceOwner } from "../base/pieces.js"
import { GATHERED_BYTES_MAX, KIB } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Fields } from "../seams/telemetry/contract.js"
import type { Party } from "./admission-core.js"
import type { Answer, Exchange, RequestMeter } from "./contract.js"
import { checkHeaders } from "./framing-core.js"
import { HeaderLines } from "./header-lines.js"
import type { HttpLimits } from "./limits.js"
import { Pace } from "../base/pace.js"
import { oncePiece, RequestBody } from "./request-body.js"
import type { RequestHeaders } from "../base/request-headers.js"
import { respondWithStream, type AnswerSink } from "./streamed-answer.js"
import { StageTiming } from "./timing.js"
import { tlsVersionOf } from "./tls-version.js"
import { WriteQueue } from "./write-queue.js"

/** Written in one piece, so that a slow reader shows progress at least this often. */
const WRITE_BYTES_MAX = 64 * KIB

const clientGone = (): Failure => fail("incompleteBody", { message: "the client is gone" })

export interface ExchangeTerms {
  readonly requestId: string
  /** The client waits for `100 Continue` before it sends the body. */
  readonly awaitsContinue: boolean
  readonly serverName: string
  readonly remoteAddress: string
  /** Asked when the answer begins: the connection must not be used again. */
  readonly mustClose: () => boolean
  /** More of the body has come, or its end, after it was waited for. */
  readonly onArrival: () => void
  /** The answer is out; from now on the exchange only takes what the client still sends. */
  readonly onLinger: () => void
}

export class NodeExchange implements Exchange, AnswerSink {
  readonly timing: StageTiming
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  readonly rawHeaders: readonly string[]
  readonly contentLength: number | undefined
  readonly chunkedTransfer: boolean
  wholeBody: Uint8Array | undefined
  status: number | undefined
  sentBytes = 0
  notes: Fields = {}
  /** One of those that are served now, and not yet given back. */
  hasPlace = false
  party: Party | undefined
  isParked = false
  readonly meters: RequestMeter[] = []
  /** Made when first asked for: most requests end before anybody does. */
  private abort: AbortController | undefined
  private isGone = false
  /** Nothing more will leave: all is handed over, or the client is gone. */
  private isOver = false
  /** Written, and not yet in the system's hands. */
  private unsentBytes = 0
  /** Whoever waits for the client to take more, or for the end. */
  private wake: () => void = () => undefined
  private readonly requestBody: RequestBody
  private readonly receivePace: Pace
  private readonly writeQueue: WriteQueue
  private lingerUntilMs: number | undefined
  private broken = false

  constructor(
    private readonly clock: Clock,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    readonly headers: RequestHeaders,
    private readonly limits: HttpLimits,
    private readonly terms: ExchangeTerms,
  ) {
    this.timing = new StageTiming(clock)
    this.requestId = terms.requestId
    this.method = request.method ?? ""
    this.rawTarget = request.url ?? ""
    this.rawHeaders = request.rawHeaders
    const length = this.header("content-length")
    this.contentLength = length === undefined ? undefined : Number(length)
    this.chunkedTransfer = headers.get("transfer-encoding") !== undefined
    this.requestBody = new RequestBody(clock, request, limits, terms.onArrival)
    this.receivePace = new Pace(limits.bytesPerSecondMin, limits.receiveWindowMs)
    this.writeQueue = new WriteQueue(request.socket)
    response.on("error", () => this.leave())
    response.on("close", () => this.leave())
    response.on("finish", () => this.end())
  }

  get signal(): AbortSignal {
    if (this.abort === undefined) {
      this.abort = new AbortController()
      if (this.isGone) this.abort.abort(clientGone())
    }
    return this.abort.signal
  }

  get clientGone(): boolean {
    return this.isGone
  }

  get answered(): boolean {
    return this.status !== undefined
  }

  /** Since when the next bytes of the body have been waited for; undefined while they are not. */
  get awaitsBodySinceMs(): number | undefined {
    return this.requestBody.awaitedSinceMs
  }

  get receivedBytes(): number {
    return this.requestBody.receivedBytes
  }

  get remoteAddress(): string {
    return this.terms.remoteAddress
  }

  get tlsVersion(): string | undefined {
    return tlsVersionOf(this.request.socket)
  }

  header(name: string): string | undefined {
    return this.headers.get(name)
  }

  headersAll(name: string): readonly string[] {
    return this.headers.all(name)
  }

  body(pieces: PieceOwner = "caller"): AsyncIterable<Uint8Array> {
    return this.wholeBody === undefined ? this.arriving(pieces) : oncePiece(this.wholeBody)
  }

  async gather(): Promise<Uint8Array> {
    const { contentLength } = this
    assert(contentLength !== undefined && contentLength <= GATHERED_BYTES_MAX, "only small bodies are gathered")
    const pieces: Uint8Array[] = []
    for await (const piece of this.arriving("caller")) pieces.push(piece)
    const [only] = pieces
    this.wholeBody = only !== undefined && pieces.length === 1 ? only : concatBytes(pieces)
    return this.wholeBody
  }

  private arriving(pieces: PieceOwner): AsyncIterable<Uint8Array> {
    const stream = this.requestBody.stream(pieces)
    const sendContinue = (): void => {
      if (this.terms.awaitsContinue && !this.answered && !this.isGone) this.response.writeContinue()
    }
    return {
      [Symbol.asyncIterator]: () => {
        sendContinue()
        return stream
      },
    }
  }

  note(fields: Fields): void {
    this.notes = { ...this.notes, ...fields }
  }

  countIn(meter: RequestMeter): void {
    this.meters.push(meter)
  }

  async respond(answer: Answer): Promise<void> {
    assert(!this.answered, "a request is answered once")
    if (!(answer.headers instanceof HeaderLines)) checkHeaders(answer.headers)
    const { body } = answer
    if (body !== undefined && !(body instanceof Uint8Array)) return await respondWithStream(this, answer, body)
    const kept = answer.isLent === true ? body && Uint8Array.from(body) : body
    this.begin(answer, kept?.length ?? answer.contentLength ?? 0)
    return await this.finish(kept !== undefined && kept.length > 0 && this.mayHaveBody() ? kept : undefined)
  }

  /** The framing of the body broke, or its sender stopped in the middle. One that has come whole stays so, whatever follows it. */
  breakBody(failure: Failure): void {
    if (this.request.complete) return
    this.broken = true
    this.requestBody.fail(failure)
  }

  /** Breaks the connection, so that nothing half-said looks whole. */
  destroy(): void {
    const { socket } = this.request
    if (socket instanceof TLSSocket || socket.destroyed) socket.destroy()
    else socket.resetAndDestroy()
  }

  /** The connection is gone: whoever waits for it need not any more. */
  leave(): void {
    if (!this.response.writableFinished && !this.isGone) {
      this.isGone = true
      this.abort?.abort(clientGone())
    }
    this.requestBody.cut()
    this.end()
  }

  /** Ends what is too slow or has lingered long enough. */
  sweep(nowMs: number): void {
    if (this.lingerUntilMs !== undefined && nowMs >= this.lingerUntilMs) this.response.end()
    if (this.requestBody.isTooSlow(nowMs)) {
      this.broken = true
      this.requestBody.fail(fail("requestTimeout"))
    }
    this.receivePace.moved(this.writeQueue.leftBytes())
    if (this.receivePace.isTooSlow(nowMs)) this.destroy()
  }

  private mayHaveBody(): boolean {
    return this.method !== "HEAD" && this.status !== 304 && this.status !== 204
  }

  begin({ status, headers }: Answer, contentLength: number | undefined): void {
    const own = headers instanceof HeaderLines ? headers.flat() : headers
    const all = [...own, "Date", httpDate(this.clock.wallMs()), "Server", this.terms.serverName]
    all.push("Server-Timing", this.timing.header())
    if (contentLength !== undefined && status !== 204 && status !== 304) {
      all.push("Content-Length", String(contentLength))
    }
    if (this.broken || this.hasUnreadBody() || this.terms.mustClose()) all.push("Connection", "close")
    this.status = status
    this.response.sendDate = false
    this.response.writeHead(status, all)
  }

  /** Something of the request's body has not arrived yet, and may come at any moment. */
  private hasUnreadBody(): boolean {
    const hasBody = this.chunkedTransfer || (this.contentLength ?? 0) > 0
    return hasBody && !this.request.complete
  }

  write(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; at += WRITE_BYTES_MAX) {
      const part = piece.subarray(at, at + WRITE_BYTES_MAX)
      this.unsentBytes += part.length
      this.response.write(part, error => {
        this.unsentBytes -= part.length
        if (!error) this.receivePace.moved(part.length)
        if (this.unsentBytes === 0) this.wake()
      })
      this.sentBytes += part.length
    }
  }

  /** Resolves when nothing that was written is looked at any more. */
  async handedOver(): Promise<void> {
    this.receivePace.wait(this.clock.monotonicMs())
    while (this.unsentBytes > 0 && !this.isOver) await new Promise<void>(resolve => (this.wake = resolve))
    this.receivePace.rest(this.clock.monotonicMs())
  }

  /** Ends the answer, with its last piece if there is one, and waits until it is handed over. */
  async finish(last?: Uint8Array): Promise<void> {
    this.sentBytes += last?.length ?? 0
    this.receivePace.wait(this.clock.monotonicMs())
    if (this.hasUnreadBody() && !this.broken) {
      if (last !== undefined) this.response.write(last)
      this.linger()
    } else {
      if (last === undefined) this.response.end()
      else this.response.end(last)
      // Node forgets an untouched body by itself; one that was read in part would hold the connection.
      if (this.requestBody.isOpened) this.requestBody.discard(this.limits.drainBytesMax, () => undefined)
    }
    while (!this.isOver) await new Promise<void>(resolve => (this.wake = resolve))
    this.receivePace.rest(this.clock.monotonicMs())
  }

  /**
   * The whole answer is out; ending it now would close the connection under the sender's hands, who
   * would then see a broken pipe instead of the answer.
   */
  private linger(): void {
    // Node flushes a head as UTF-8 otherwise, and its values are bytes.
    this.request.socket.setDefaultEncoding("latin1")
    this.response.flushHeaders()
    this.terms.onLinger()
    this.lingerUntilMs = this.clock.monotonicMs() + this.limits.drainMs
    this.requestBody.discard(this.limits.drainBytesMax, () => this.response.end())
  }

  private end(): void {
    this.isOver = true
    this.wake()
  }
}
