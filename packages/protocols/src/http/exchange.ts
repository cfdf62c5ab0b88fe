/**
 * One request as protocols see it, answered on its socket.
 *
 * The body has either arrived whole, as most small ones have, or is still arriving (`RequestBody`), whichever parser
 * read the head.
 *
 * Promises  The response is whole, or the connection breaks. A response in one piece is written together with its
 *           neighbours', and is done within the turn if the system accepts it. A response sent before the body has
 *           arrived ends the connection (`isLast`). Each 503 says when to try again (`Retry-After`).
 *           A paced exchange that waits holds no place and at most one piece in each direction; its client's leaving
 *           ends the wait.
 * Limits    `GATHERED_BYTES_MAX`; `bytesPerSecondMin` over `receiveWindowMs` for clients that read their response.
 */
import { STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import { httpDate } from "@hayloft/base/text/dates.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { GATHERED_BYTES_MAX, KIB } from "@hayloft/base/limits.js"
import { ClientPace } from "@hayloft/base/pace.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Party } from "@hayloft/base/places-core.js"
import type { Span, Tracer } from "@hayloft/base/trace.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { breakSocket } from "@hayloft/base/seams/net/real-break.js"
import type { Fields } from "@hayloft/base/seams/telemetry/contract.js"
import type { HttpAnswer, Exchange, FinishedRequest, Pacer, RequestMeter, RequestSubject } from "./contract.js"
import { checkHeaders } from "./framing-core.js"
import type { RequestHead } from "./head.js"
import { HeaderLines, linesOf } from "./header-lines.js"
import type { HttpLimits } from "./limits.js"
import { oncePiece, type RequestBody } from "./request-body.js"
import type { ResponseBatch } from "./response-batch.js"
import { StageTiming } from "./timing.js"
import type { TurnSlices } from "./turn-slices.js"

/** Size of one write, so that a slow receiver shows progress at least this often. */
const WRITE_BYTES_MAX = 64 * KIB
/** Head and body up to this size are joined, which is cheaper than two writes. */
const ONE_WRITE_BYTES_MAX = 16 * KIB
const ERROR_STATUS_MIN = 400
const UNAVAILABLE_STATUS = 503
const HAS_RETRY_AFTER = /^retry-after:/im
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1")
const LINE_END = Buffer.from("\r\n", "latin1")
const NO_NOTES: Fields = Object.freeze({})
const NO_BYTES = new Uint8Array()

/** Shared by all exchanges of one connection. */
export interface ExchangeTerms {
  readonly clock: Clock
  readonly limits: HttpLimits
  readonly serverName: string
  readonly remoteAddress: string
  readonly batch: ResponseBatch
  readonly slices: TurnSlices
  /** Read when a response begins: whether the connection must close after it. */
  readonly mustClose: () => boolean
  /** Gives up the place of an exchange, for example while it waits for its pacer, and takes it again. */
  readonly park: (exchange: HttpExchange) => void
  readonly resume: (exchange: HttpExchange) => void
  /** Resolves when the request may occupy the thread for milliseconds. Throws `tooManyInFlight`. */
  readonly turn: (exchange: HttpExchange) => Promise<void>
  readonly tracer: Tracer | undefined
  readonly payerOf: (exchange: HttpExchange) => Party
}

export class HttpExchange implements Exchange, FinishedRequest {
  readonly timing: StageTiming
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  readonly contentLength: number | undefined
  readonly chunkedTransfer: boolean
  wholeBody: Uint8Array | undefined
  status: number | undefined
  sentBytes = 0
  notes: Fields = NO_NOTES
  subject: RequestSubject | undefined
  readonly meters: RequestMeter[] = []
  readonly trace: Span | undefined
  clientGone = false
  /** It was answered although its work goes on, whose result is dropped. */
  private isAbandoned = false
  /** Waits for something to change end, because the client has ended its side. */
  private endsPolls = false
  private polls = 0
  /** The request counts as in flight: it holds a place and is not parked. */
  hasPlace = false
  party: Party | undefined
  isParked = false
  isProved = false
  isDenied = false
  owedMs = 0
  polledMs = 0
  /** The connection ends with this response. */
  isLast: boolean
  /** The body that is still arriving; undefined if it arrived whole. */
  private readonly coming: RequestBody | undefined
  private isOpened = false
  private readonly isOldVersion: boolean
  private awaitsContinue: boolean
  private isChunked = false
  /** The head of the response, once the response has begun. */
  private head = ""
  private abort: AbortController | undefined
  private unsentBytes = 0
  private wake: () => void = () => undefined
  /** Created when the server first waits for the client. */
  private pace: ClientPace | undefined
  private progress: SendProgress | undefined
  private pacer: Pacer | undefined
  /** The bytes that have been read of a body that did not arrive whole. The rest is paced as it is read. */
  private readBytes = 0
  /** Each ends one of the pauses under way: a body and the response to it may wait at the same time. */
  private readonly pauses = new Set<() => void>()
  /** The time of pauses that are over, and since when there have been others. */
  private pausedBeforeMs = 0
  private pausedSinceMs = 0
  private awaitsReceiverSinceMs: number | undefined
  /** Since when its client waits for the next bytes of an answer that has begun; undefined if it does not. */
  awaitsBytesSinceMs: number | undefined

  constructor(
    readonly requestId: string,
    private readonly socket: Socket,
    head: RequestHead,
    body: Uint8Array | RequestBody,
    private readonly terms: ExchangeTerms,
  ) {
    this.timing = new StageTiming(terms.clock)
    this.method = head.method
    this.rawTarget = head.rawTarget
    this.headers = head.headers
    this.contentLength = head.contentLength
    this.chunkedTransfer = head.isChunked
    this.isLast = head.isLast
    this.isOldVersion = head.isOldVersion
    this.awaitsContinue = head.awaitsContinue
    const isWhole = body instanceof Uint8Array
    this.wholeBody = isWhole ? body : undefined
    this.coming = isWhole ? undefined : body
    this.trace = terms.tracer === undefined ? undefined : this.beginTrace(terms.tracer)
  }

  private beginTrace(tracer: Tracer): Span | undefined {
    return tracer.beginRequest(this.method.slice(0, 32), {
      traceParent: this.header("traceparent"),
      traceState: this.header("tracestate"),
      isForced: this.asksForTrace,
    })
  }

  private get asksForTrace(): boolean {
    return this.header("x-hayloft-trace") === "1"
  }

  get remoteAddress(): string {
    return this.terms.remoteAddress
  }

  get tlsVersion(): string | undefined {
    return tlsVersionOf(this.socket)
  }

  get tlsCipher(): string | undefined {
    return this.socket instanceof TLSSocket ? tlsCipherOf(this.socket) : undefined
  }

  get httpVersion(): string {
    return this.isOldVersion ? "1.0" : "1.1"
  }

  get answered(): boolean {
    return this.status !== undefined
  }

  proveAccount(): void {
    this.isProved = true
  }

  denyAccount(): void {
    this.isDenied = true
  }

  get receivedBytes(): number {
    return this.coming?.receivedBytes ?? this.wholeBody?.length ?? 0
  }

  /** The time since which it waits for its client to send or to receive; undefined if it does not. */
  get awaitsClientSinceMs(): number | undefined {
    return this.coming?.awaitedSinceMs ?? this.awaitsReceiverSinceMs
  }

  get signal(): AbortSignal {
    if (this.abort === undefined) {
      this.abort = new AbortController()
      if (this.clientGone || this.isAbandoned) this.abort.abort(goneFailure())
    }
    return this.abort.signal
  }

  header(name: string): string | undefined {
    return this.headers.get(name)
  }

  answerHeader(name: string): string | undefined {
    const line = this.head.split("\r\n").find(text => text.slice(0, name.length + 1).toLowerCase() === `${name}:`)
    return line?.slice(name.length + 1).trim()
  }

  body(pieces: PieceOwner = "caller"): AsyncIterable<Uint8Array> {
    if (this.wholeBody === undefined) return this.comingPieces(pieces)
    assert(!this.isOpened, "a body is opened once")
    this.isOpened = true
    return oncePiece(this.wholeBody)
  }

  async gather(): Promise<Uint8Array> {
    if (this.wholeBody !== undefined) return this.wholeBody
    const { contentLength } = this
    assert(contentLength !== undefined && contentLength <= GATHERED_BYTES_MAX, "only small bodies are gathered")
    const pieces: Uint8Array[] = []
    for await (const piece of this.comingPieces("caller")) pieces.push(piece)
    const [only] = pieces
    this.wholeBody = only !== undefined && pieces.length === 1 ? only : concatBytes(pieces)
    return this.wholeBody
  }

  private comingPieces(pieces: PieceOwner): AsyncIterable<Uint8Array> {
    const { coming } = this
    assert(coming !== undefined, "a body that is not there is coming")
    const stream = coming.stream(pieces, piece => {
      this.readBytes += piece.length
      return this.pausedFor(piece)
    })
    return {
      [Symbol.asyncIterator]: () => {
        if (this.awaitsContinue && !this.answered && !this.clientGone) this.send("HTTP/1.1 100 Continue\r\n\r\n")
        this.awaitsContinue = false
        return stream
      },
    }
  }

  paceBy(pacer: Pacer): Promise<void> | undefined {
    // Its meters were counted when it was answered: nothing would end what begins now.
    if (this.isAbandoned) return undefined
    this.pacer = pacer
    return this.parked(go => pacer.begin(this.wholeBody?.length ?? this.readBytes, go))
  }

  turn(): Promise<void> {
    return this.terms.turn(this)
  }

  get payer(): Party {
    return this.terms.payerOf(this)
  }

  get pausedMs(): number {
    return this.pausedBeforeMs + (this.pauses.size > 0 ? this.terms.clock.monotonicMs() - this.pausedSinceMs : 0)
  }

  /** The wait before a piece of a body moves. The pacer may become known only while a body is being read. */
  private pausedFor({ length }: Uint8Array): Promise<void> | undefined {
    const { pacer } = this
    return pacer && this.parked(go => pacer.move(length, go))
  }

  pause(begin: (go: () => void) => (() => void) | undefined): Promise<void> | undefined {
    const sinceMs = this.terms.clock.monotonicMs()
    if (this.endsPolls) this.abortPolls()
    this.polls += 1
    const waiting = this.parked(begin, this.endsPolls)
    if (waiting === undefined) this.polls -= 1
    return waiting?.then(() => {
      this.polls -= 1
      this.polledMs += this.terms.clock.monotonicMs() - sinceMs
    })
  }

  /** The client has ended its side: from now on a wait for something to change ends, and its request is answered. */
  endPolls(): void {
    this.endsPolls = true
    if (this.polls === 0) return
    this.abortPolls()
    for (const end of this.pauses) end()
  }

  private abortPolls(): void {
    this.abort ??= new AbortController()
    this.abort.abort(goneFailure())
  }

  /** Waits without a place until `go` is called, or the client has gone. */
  private parked(begin: (go: () => void) => (() => void) | undefined, isOver = false): Promise<void> | undefined {
    let go = (): void => undefined
    const cancel = begin(() => go())
    if (cancel === undefined || this.clientGone || isOver) return void cancel?.()
    this.terms.park(this)
    if (this.pauses.size === 0) this.pausedSinceMs = this.terms.clock.monotonicMs()
    return new Promise<void>(resolve => {
      const end = (): void => {
        cancel()
        go()
      }
      go = () => {
        this.pausedBeforeMs = this.pausedMs
        this.pausedSinceMs = this.terms.clock.monotonicMs()
        this.pauses.delete(end)
        this.terms.resume(this)
        resolve()
      }
      this.pauses.add(end)
    })
  }

  note(fields: Fields): void {
    this.notes = this.notes === NO_NOTES ? fields : { ...this.notes, ...fields }
  }

  about(subject: RequestSubject): void {
    this.subject = subject
  }

  countIn(meter: RequestMeter): void {
    if (!this.meters.includes(meter)) this.meters.push(meter)
  }

  respond(answer: HttpAnswer): Promise<void> | undefined {
    if (this.isAbandoned) return dropped(answer.body)
    assert(!this.answered, "a request is answered once")
    if (!(answer.headers instanceof HeaderLines)) checkHeaders(answer.headers)
    const { body } = answer
    if (body !== undefined && !(body instanceof Uint8Array)) return this.respondWithStream(answer, body)
    // Errors are not paced: they are short, and the client must learn why its transfer has stopped.
    const pausing = body && answer.status < ERROR_STATUS_MIN ? this.pausedFor(body) : undefined
    if (pausing === undefined) return this.respondWhole(answer, body)
    const kept = answer.isLent === true ? body?.slice() : body
    return pausing.then(() => this.respondWhole(answer, kept))
  }

  private respondWhole(answer: HttpAnswer, body: Uint8Array | undefined): Promise<void> | undefined {
    const wanted = body !== undefined && this.mayHaveBody(answer.status) ? body : NO_BYTES
    if (this.clientGone) return undefined
    const head = this.headOf(answer, body?.length ?? answer.contentLength ?? 0)
    this.sentBytes = wanted.length
    if (wanted.length <= ONE_WRITE_BYTES_MAX) {
      const isOver = this.terms.batch.send(this.socket, wanted.length === 0 ? head : joined(head, wanted))
      return isOver ? undefined : this.finish()
    }
    this.socket.cork()
    this.send(head)
    this.write(answer.isLent === true ? Uint8Array.from(wanted) : wanted)
    this.socket.uncork()
    this.sentBytes = wanted.length
    return this.socket.writableLength === 0 ? undefined : this.finish()
  }

  private async respondWithStream(answer: HttpAnswer, body: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces = body[Symbol.asyncIterator]()
    try {
      const isWanted = this.mayHaveBody(answer.status)
      // Until the first piece is available, a failure can still be answered.
      let next = isWanted ? await pieces.next() : undefined
      if (this.clientGone || this.isAbandoned) return
      this.send(this.headOf(answer, answer.contentLength))
      for (; next !== undefined && next.done !== true; next = await this.nextOf(pieces)) {
        assert(
          this.sentBytes + next.value.length <= (answer.contentLength ?? Infinity),
          "a body is no longer than its declared length",
        )
        const pausing = this.pausedFor(next.value)
        if (pausing !== undefined) await pausing
        const later = this.terms.slices.next()
        if (later !== undefined) await later
        if (this.clientGone) return
        this.write(next.value)
        await this.until(() => this.unsentBytes === 0)
        if (this.clientGone) return
      }
      assert(!isWanted || this.sentBytes === (answer.contentLength ?? this.sentBytes), "a body is as long as declared")
      await this.finish()
    } catch (error) {
      if (this.answered) this.destroy()
      throw error
    } finally {
      await pieces.return?.()
    }
  }

  private async nextOf(pieces: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    this.awaitsBytesSinceMs = this.terms.clock.monotonicMs()
    try {
      return await pieces.next()
    } finally {
      this.awaitsBytesSinceMs = undefined
    }
  }

  private write(piece: Uint8Array): void {
    // Cork: one system call for all parts. A call for each part costs a large read a quarter of the main thread.
    this.socket.cork()
    for (let at = 0; at < piece.length; at += WRITE_BYTES_MAX) {
      const part = piece.subarray(at, at + WRITE_BYTES_MAX)
      this.unsentBytes += part.length
      if (this.isChunked) this.socket.write(`${part.length.toString(16)}\r\n`, "latin1")
      this.socket.write(part, error => {
        this.unsentBytes -= part.length
        if (!error) this.pace?.moved(part.length)
        if (this.unsentBytes === 0) this.wake()
      })
      if (this.isChunked) this.socket.write(LINE_END)
      this.sentBytes += part.length
    }
    this.socket.uncork()
  }

  /** Ends the response and waits until the system has accepted all of it. */
  private finish(): Promise<void> {
    let isOut = false
    this.socket.write(this.isChunked ? LAST_CHUNK : NO_BYTES, () => {
      isOut = true
      this.wake()
    })
    return this.until(() => isOut)
  }

  /** It has nothing to do but to wait for the server: its client waits for the answer. */
  get awaitsServer(): boolean {
    return this.hasPlace && !this.answered && !this.clientGone && this.awaitsClientSinceMs === undefined
  }

  /** Call it once the request is answered: its work, which has not ended, gets no more of its body, and its result is dropped. */
  abandon(reason: Failure): void {
    this.isAbandoned = true
    this.abort?.abort(reason)
    this.coming?.fail(reason)
  }

  /** Breaks the connection, so that no partial response looks whole. */
  destroy(): void {
    breakSocket(this.socket)
  }

  /** The connection is closed. */
  leave(): void {
    if (this.clientGone) return
    this.clientGone = true
    this.abort?.abort(goneFailure())
    this.coming?.cut()
    for (const end of this.pauses) end()
    this.wake()
  }

  /** Ends a connection whose client reads its response too slowly. */
  sweep(nowMs: number): void {
    if (this.pace === undefined) return
    this.progress ??= new SendProgress(this.socket)
    this.pace.moved(this.progress.sentBytes())
    if (this.pace.isTooSlow(nowMs)) this.destroy()
  }

  private async until(isDone: () => boolean): Promise<void> {
    const { clock, limits } = this.terms
    this.pace ??= new ClientPace(limits.bytesPerSecondMin, limits.receiveWindowMs)
    this.awaitsReceiverSinceMs = clock.monotonicMs()
    this.pace.wait(this.awaitsReceiverSinceMs)
    while (!isDone() && !this.clientGone) await new Promise<void>(resolve => (this.wake = resolve))
    this.pace.rest(clock.monotonicMs())
    this.awaitsReceiverSinceMs = undefined
    this.terms.resume(this)
  }

  private mayHaveBody(status: number): boolean {
    return this.method !== "HEAD" && status !== 304 && status !== 204
  }

  private headOf({ status, headers }: HttpAnswer, contentLength: number | undefined): string {
    const { clock, serverName, mustClose } = this.terms
    const lines = headers instanceof HeaderLines ? headers.text : linesOf(headers)
    let head = `${statusLine(status)}${lines}`
    head += `Date: ${httpDate(clock.wallMs())}\r\nServer: ${serverName}\r\nServer-Timing: ${this.timing.header()}\r\n`
    // Every protocol gets the header, whether or not its table of failures says when to retry.
    if (status === UNAVAILABLE_STATUS && !HAS_RETRY_AFTER.test(head)) head += "Retry-After: 1\r\n"
    if (this.trace !== undefined && this.asksForTrace) head += `x-hayloft-trace-id: ${this.trace.traceId}\r\n`
    this.status = status
    // A client that got no "100 Continue" may or may not send its body.
    if (!this.isLast) this.isLast = mustClose() || this.awaitsContinue || this.coming?.isComplete === false
    const mayBeMeasured = status !== 204 && status !== 304
    if (contentLength !== undefined && mayBeMeasured) head += `Content-Length: ${contentLength}\r\n`
    else if (this.mayHaveBody(status)) head += this.endlessLines()
    head += this.isLast ? "Connection: close\r\n\r\n" : keepAliveLines.of(this.terms.limits)
    return (this.head = head)
  }

  /** The header for a body of unknown length: it is sent in chunks, or ends with the connection. */
  private endlessLines(): string {
    if (this.isOldVersion) this.isLast = true
    else this.isChunked = true
    return this.isChunked ? "Transfer-Encoding: chunked\r\n" : ""
  }

  private send(head: string): void {
    this.socket.write(head, "latin1")
  }
}

/** An answer after the answer: frees what its body holds. */
async function dropped(body: HttpAnswer["body"]): Promise<void> {
  if (body !== undefined && !(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.()
}

function joined(head: string, body: Uint8Array): Buffer {
  const bytes = takeMemory(head.length + body.length)
  bytes.write(head, 0, "latin1")
  bytes.set(body, head.length)
  return bytes
}

/**
 * Responses are cut from slabs of this size: an allocation for each small response costs more than writing it. A
 * response that its client does not read keeps a whole slab; larger slabs save nothing more.
 */
const MEMORY_BYTES = 64 * KIB
let memory = Buffer.alloc(0)
let usedBytes = 0

function takeMemory(lengthBytes: number): Buffer {
  if (usedBytes + lengthBytes > memory.length) {
    memory = Buffer.allocUnsafeSlow(MEMORY_BYTES)
    usedBytes = 0
  }
  usedBytes += lengthBytes
  return memory.subarray(usedBytes - lengthBytes, usedBytes)
}

const statusLine = (status: number): string =>
  status === 200 ? "HTTP/1.1 200 OK\r\n" : `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`
const goneFailure = () => fail("incompleteBody", { message: "the client is gone" })

/** The end of a head that keeps the connection open. */
const keepAliveLines = new RememberedByObject(
  ({ keepAliveMs }: HttpLimits) =>
    `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`,
)

/** The TLS version of a connection, with the digits that policies use: `1.3`; undefined without TLS. */
const tlsVersionOf = (socket: Socket): string | undefined =>
  socket instanceof TLSSocket ? (socket.getProtocol()?.replace(/^TLSv/, "") ?? "") : undefined

/** A closed connection has none, whatever the type says. */
function tlsCipherOf(socket: TLSSocket): string | undefined {
  const cipher: Partial<ReturnType<TLSSocket["getCipher"]>> | undefined = socket.getCipher()
  return cipher?.name
}

/**
 * Measures how much of a write a client has received, even during the write: Node reports only its end, and a write of
 * one mebibyte takes minutes with a slow receiver.
 */
class SendProgress {
  private queuedBytes = 0

  constructor(private readonly socket: Socket) {}

  /** Bytes that have left the system's queue since the last call, provided that none were added. */
  sentBytes(): number {
    const before = this.queuedBytes
    this.queuedBytes = bytesQueuedAt(fieldOf(this.socket, "_handle"))
    return Math.max(0, before - this.queuedBytes)
  }
}

/** The same fields that Node reads for socket timeouts; the connection under TLS has a queue of its own. */
function bytesQueuedAt(handle: unknown): number {
  if (handle === undefined) return 0
  return Number(fieldOf(handle, "writeQueueSize") ?? 0) + bytesQueuedAt(fieldOf(handle, "_parent"))
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
