/**
 * One connection: reads its requests in order, and serves each one before it starts the next.
 *
 * `head.ts` reads plainly written heads; Node's parser reads all others (`unusual-head.ts`), chosen for each request.
 * A small body is collected and served whole; other bodies are passed to their request as they arrive.
 *
 * Promises  Requests of one connection are served in order, one at a time. A client whose request is refused
 *           before its body has arrived receives the response: the server reads what the client still sends for a
 *           bounded time, then closes the connection. A client that ends its side after its requests receives their
 *           responses; a wait for something to change ends then, since nothing else would show that the client has left.
 * Limits    While a request is served, `WAITING_BYTES_MAX` of later bytes are buffered; then the client is paused.
 *           A body of up to `WHOLE_BODY_BYTES_MAX` is collected during `COLLECT_SWEEPS_MAX` sweeps, from at most
 *           `ATTEMPTS_MAX` pieces.
 *           `headersTimeoutMs`, `keepAliveMs`, `halfClosedMs`, `drainBytesMax`, `drainMs`.
 */
import type { Socket } from "node:net"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { HttpExchange, type ExchangeTerms } from "./exchange.js"
import { HeadReader, type RequestHead } from "./head.js"
import type { HttpLimits } from "./limits.js"
import { LATE, NO_REQUEST, type HeadError, type UnusualHead, type UnusualHeads } from "./unusual-head.js"
import { RequestBody } from "./request-body.js"
import type { RequestIds } from "./request-ids.js"

const WAITING_BYTES_MAX = 64 * KIB
/** Larger bodies are streamed, so that back pressure reaches their senders. */
const WHOLE_BODY_BYTES_MAX = 64 * KIB
const COLLECT_SWEEPS_MAX = 2
/** 64 KiB arrive in 46 Ethernet frames. */
const ATTEMPTS_MAX = 64
const NO_BYTES = Buffer.alloc(0)
const [LF, CR] = [0x0a, 0x0d]

/** The terms of exchanges that all connections share, and what a connection needs beside them. */
export interface ConnectionHost extends Omit<ExchangeTerms, "remoteAddress" | "mustClose" | "resume"> {
  readonly shapes: HeaderShapes
  readonly unusualHeads: UnusualHeads
  readonly isStopping: () => boolean
  readonly requestIds: RequestIds
  /** Serves the request, or refuses it because of the fault. Never rejects. @returns undefined if it is done. */
  readonly serve: (
    exchange: HttpExchange,
    connection: HttpConnection,
    fault: Failure | undefined,
  ) => Promise<void> | undefined
  /** More of the request's body has arrived after a reader waited for it. */
  readonly onArrival: (exchange: HttpExchange) => void
  /** The response to bytes that are not a request; it ends the connection. */
  readonly refusalOf: (error: HeadError) => Uint8Array
}

export class HttpConnection {
  /** The request that is being served. */
  exchange: HttpExchange | undefined
  private readonly reader: HeadReader
  private readonly terms: ExchangeTerms
  /** Bytes received that belong to no request yet. */
  private waiting: Buffer = NO_BYTES
  /** The head of the next request, while its body is incomplete. */
  private head: RequestHead | undefined
  /** The head of the next request, while Node's parser reads it. */
  private unusualHead: UnusualHead | undefined
  /** The body that the next bytes belong to. */
  private body: RequestBody | undefined
  /** The last response has been sent; until this time the body of its request is read and dropped. */
  private drainUntilMs: number | undefined
  private hungUpAtMs: number | undefined
  /** The client has ended its side. */
  private endedAtMs: number | undefined
  private isReading = false
  /** Sweeps since the last request started: without any byte of the next request, and with some. */
  private idleSweeps = 0
  private collectSweeps = 0
  /** How often the beginning of the next request was examined. */
  private attempts = 0
  private hasServed = false
  private readonly onData = (chunk: Buffer): void => this.receive(chunk)
  private readonly onEnd = (): void => this.receiveEnd()

  constructor(
    private readonly socket: Socket,
    private readonly host: ConnectionHost,
    /** Over the limit of connections: its request is refused, and the connection is closed. */
    readonly isSurplus: boolean,
  ) {
    const { clock, limits, serverName, batch, slices } = host
    this.reader = new HeadReader(host.shapes, limits.headerBytesMax)
    const mustClose = (): boolean => isSurplus || host.isStopping()
    // Read the client's address now: a closed socket has none.
    const places = { park: host.park, resume: host.onArrival, turn: host.turn, payerOf: host.payerOf }
    const { tracer } = this.host
    const remoteAddress = socket.remoteAddress ?? ""
    this.terms = { clock, limits, serverName, batch, slices, mustClose, ...places, tracer, remoteAddress }
    socket.on("data", this.onData)
    socket.on("end", this.onEnd)
    this.receiveFirst()
  }

  /**
   * Intercepts chunks on their way into the stream, which would schedule an extra tick after each of them.
   * Chunks that do enter the stream are emitted as "data".
   */
  private receiveFirst(): void {
    const { socket } = this
    const push = socket.push.bind(socket)
    socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (!Buffer.isBuffer(chunk) || socket.isPaused() || socket.readableLength > 0) return push(chunk, encoding)
      this.receive(chunk)
      return true
    }
  }

  /** No request is being served, and the system has accepted all responses. */
  get isIdle(): boolean {
    const isServing = this.exchange !== undefined || this.drainUntilMs !== undefined || this.hungUpAtMs !== undefined
    // Responses of this turn are still buffered.
    return !isServing && this.socket.writableLength === 0
  }

  destroy(): void {
    this.socket.destroy()
  }

  sweep(nowMs: number): void {
    const { limits } = this.host
    if (this.hungUpAtMs !== undefined) {
      if (nowMs - this.hungUpAtMs > limits.drainMs) this.socket.destroy()
    } else if (this.drainUntilMs !== undefined) {
      if (nowMs >= this.drainUntilMs) this.hangUp()
    } else if (this.exchange !== undefined) {
      const isLeft = this.endedAtMs !== undefined && nowMs - this.endedAtMs > limits.halfClosedMs
      if (isLeft && !this.exchange.answered) this.socket.destroy()
      this.body?.sweep(nowMs)
      this.exchange.sweep(nowMs)
    } else this.sweepNext(limits)
  }

  /** Gives up the next request, or the connection, if it does not arrive in time. */
  private sweepNext({ sweepMs, headersTimeoutMs, keepAliveMs }: HttpLimits): void {
    if (this.head === undefined && this.unusualHead === undefined && this.waiting.length === 0) {
      this.idleSweeps += 1
      const idleMs = this.idleSweeps * sweepMs
      if (idleMs >= (this.hasServed ? keepAliveMs : Math.min(headersTimeoutMs, keepAliveMs))) this.socket.destroy()
      return
    }
    this.collectSweeps += 1
    if (this.head !== undefined) {
      if (this.collectSweeps > COLLECT_SWEEPS_MAX) this.readOn()
    } else if (this.collectSweeps * sweepMs >= headersTimeoutMs) this.refuse(LATE)
  }

  /** The connection is closed: its requests that have not started are dropped. */
  leave(): void {
    this.waiting = NO_BYTES
    this.head = undefined
    this.unusualHead?.abandon()
    this.exchange?.leave()
  }

  private receive(chunk: Buffer): void {
    const rest = this.body === undefined ? chunk : this.feed(this.body, chunk)
    if (rest.length === 0) return
    this.waiting = this.waiting.length === 0 ? rest : Buffer.concat([this.waiting, rest])
    if (this.exchange === undefined) this.readOn()
    else this.setFlow()
  }

  /** The client has ended its side. Its requests are still served. */
  private receiveEnd(): void {
    this.endedAtMs = this.host.clock.monotonicMs()
    if (this.drainUntilMs !== undefined) return this.hangUp()
    this.exchange?.endPolls()
    this.readOn()
  }

  /** Nothing more arrives: ends what is incomplete and, once all requests have been served, the connection. */
  private finishEnded(): void {
    this.body?.fail(fail("incompleteBody", { message: "the connection ended within the body" }))
    if (this.exchange !== undefined || this.drainUntilMs !== undefined || this.hungUpAtMs !== undefined) return
    if (this.waiting.length > 0 || this.unusualHead !== undefined) this.socket.destroy()
    else this.socket.end()
  }

  /** Passes the body its bytes; returns those after its end. */
  private feed(body: RequestBody, chunk: Buffer): Buffer {
    const usedBytes = body.receive(chunk)
    if (body.isComplete) this.body = undefined
    this.setFlow()
    return usedBytes === chunk.length ? NO_BYTES : chunk.subarray(usedBytes)
  }

  /** Serves the requests that have arrived, one after the other. */
  private readOn(): void {
    if (this.isReading) return
    this.isReading = true
    while (this.mayBegin() && this.begin());
    this.isReading = false
    if (this.endedAtMs !== undefined) this.finishEnded()
  }

  private mayBegin(): boolean {
    if (this.exchange !== undefined || this.body !== undefined || this.hungUpAtMs !== undefined) return false
    return this.head !== undefined || this.waiting.length > 0
  }

  /** Starts the next request; returns false if it has not arrived yet. */
  private begin(): boolean {
    const head = this.head ?? this.readHead()
    if (head === undefined) return false
    const { contentLength = 0, headBytes } = head
    const endAt = headBytes + contentLength
    if (head.isChunked || head.awaitsContinue || contentLength > WHOLE_BODY_BYTES_MAX) this.serveComing(head)
    else if (endAt <= this.waiting.length) this.serveWhole(head, endAt)
    else if (this.endedAtMs !== undefined || this.attempts >= ATTEMPTS_MAX || this.collectSweeps > COLLECT_SWEEPS_MAX)
      this.serveComing(head)
    else {
      this.attempts += 1
      this.head = head
      return false
    }
    return true
  }

  /** The next head; undefined if it is incomplete or malformed. */
  private readHead(): RequestHead | undefined {
    if (this.unusualHead === undefined) {
      if (this.waiting[0] === CR || this.waiting[0] === LF) this.skipEmptyLines()
      if (this.waiting.length === 0) return undefined
      const reading = this.reader.read(this.waiting)
      if (typeof reading !== "string") return reading
      this.attempts += 1
      if (reading === "incomplete" && this.attempts <= ATTEMPTS_MAX) return undefined
      this.unusualHead = this.host.unusualHeads.begin()
    }
    const { usedBytes, outcome } = this.unusualHead.read(this.waiting)
    this.waiting = usedBytes === this.waiting.length ? NO_BYTES : this.waiting.subarray(usedBytes)
    if (outcome === undefined) return undefined
    this.unusualHead = undefined
    if (!("code" in outcome)) return outcome
    this.refuse(outcome)
    return undefined
  }

  /** Empty lines may precede a request (RFC 9112 section 2.2). */
  private skipEmptyLines(): void {
    let at = 0
    while (this.waiting[at] === CR || this.waiting[at] === LF) at += 1
    this.waiting = this.waiting.subarray(at)
  }

  private serveWhole(head: RequestHead, endAt: number): void {
    const { waiting } = this
    const body = endAt === head.headBytes ? NO_BYTES : waiting.subarray(head.headBytes, endAt)
    this.waiting = endAt === waiting.length ? NO_BYTES : waiting.subarray(endAt)
    this.serve(head, body)
  }

  /** Serves a request whose body is still arriving. */
  private serveComing(head: RequestHead): void {
    const { clock, limits } = this.host
    const onArrival = (): void => {
      if (this.exchange !== undefined) this.host.onArrival(this.exchange)
    }
    const hooks = { onArrival, onFlow: () => this.setFlow() }
    const body = new RequestBody(clock, limits, hooks, head)
    // Feed the body what has already arrived before serving: the response then depends on whether more is to come.
    const rest = this.waiting.subarray(head.headBytes)
    this.waiting = NO_BYTES
    this.body = body
    this.waiting = this.feed(body, rest)
    this.serve(head, body)
  }

  private serve(head: RequestHead, body: Uint8Array | RequestBody): void {
    this.head = undefined
    this.hasServed = true
    this.idleSweeps = 0
    this.collectSweeps = 0
    this.attempts = 0
    const exchange = new HttpExchange(this.host.requestIds.next(), this.socket, head, body, this.terms)
    this.exchange = exchange
    if (this.endedAtMs !== undefined) exchange.endPolls()
    const serving = this.host.serve(exchange, this, head.fault)
    if (serving === undefined) this.over(exchange)
    else {
      void serving.then(() => {
        this.over(exchange)
        this.readOn()
        this.setFlow()
      })
    }
  }

  private over({ isLast }: HttpExchange): void {
    this.exchange = undefined
    if (!isLast) return
    const { body } = this
    if (body === undefined || body.isBroken || this.endedAtMs !== undefined) return this.hangUp()
    // Closing now would reset the connection while the client sends, and the client would lose the response.
    const { clock, limits } = this.host
    this.drainUntilMs = clock.monotonicMs() + limits.drainMs
    body.discard(limits.drainBytesMax, () => this.hangUp())
    this.setFlow()
  }

  /** Pauses the client while too much of its data is buffered, and resumes it afterwards. */
  private setFlow(): void {
    if (this.hungUpAtMs !== undefined) return
    const isAhead = this.exchange !== undefined && this.waiting.length > WAITING_BYTES_MAX
    if (isAhead || this.body?.isFull === true) this.socket.pause()
    else if (this.socket.isPaused()) this.socket.resume()
  }

  /** Ends the connection because of bytes that are not a request. */
  private refuse(error: HeadError): void {
    if (!this.socket.writable) this.socket.destroy()
    // The answers to the requests before it are still sent.
    else if (error === NO_REQUEST) this.hangUp()
    else this.hangUp(this.host.refusalOf(error))
  }

  /** Sends the last bytes, and for a while drops what the client still sends, so that the client receives them. */
  private hangUp(lastBytes: Uint8Array = NO_BYTES): void {
    const { socket } = this
    this.hungUpAtMs = this.host.clock.monotonicMs()
    this.drainUntilMs = undefined
    this.waiting = NO_BYTES
    this.unusualHead?.abandon()
    socket.off("data", this.onData)
    socket.off("end", this.onEnd)
    Reflect.deleteProperty(socket, "push")
    socket.end(lastBytes)
    socket.on("data", () => undefined)
    socket.resume()
  }
}
