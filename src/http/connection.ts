/**
 * One connection: reads its requests one after the other, and has each served before the next one is begun.
 *
 * A head is read by `head.ts`, or by Node's parser if it is written in another way (`odd-head.ts`): chosen for each
 * request. A small body is waited for and served whole; others are fed to their request as they come.
 *
 * Promises  Requests of one connection are served in their order, one at a time. A client whose request is refused
 *           before its body is there gets the answer: what it still sends is taken for a bounded while, then the
 *           connection is closed.
 * Limits    While a request is served, what follows it waits up to `WAITING_BYTES_MAX`, then the client is held back.
 *           A body of up to `WHOLE_BODY_BYTES_MAX` is waited for during `PATIENCE_SWEEPS`, and for `LOOKS_MAX` pieces.
 *           `headersTimeoutMs`, `keepAliveMs`, `drainBytesMax`, `drainMs`.
 */
import type { Socket } from "node:net"
import { fail, type Failure } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import type { HeaderShapes } from "../base/request-headers.js"
import type { Clock } from "../seams/clock/contract.js"
import { HttpExchange, type ExchangeTerms } from "./exchange.js"
import { HeadReader, type RequestHead } from "./head.js"
import type { HttpLimits } from "./limits.js"
import { LATE, NO_REQUEST, type HeadError, type UnusualHead, type UnusualHeads } from "./unusual-head.js"
import { RequestBody } from "./request-body.js"
import type { RequestIds } from "./request-ids.js"
import type { ResponseBatch } from "./response-batch.js"

const WAITING_BYTES_MAX = 64 * KIB
/** Larger bodies are streamed, so that their senders are held back. */
export const WHOLE_BODY_BYTES_MAX = 64 * KIB
const PATIENCE_SWEEPS = 2
/** 64 KiB come in 46 frames of Ethernet. */
const LOOKS_MAX = 64
const NO_BYTES = Buffer.alloc(0)
const [LF, CR] = [0x0a, 0x0d]

export interface ConnectionHost {
  readonly clock: Clock
  readonly limits: HttpLimits
  readonly serverName: string
  readonly shapes: HeaderShapes
  readonly unusualHeads: UnusualHeads
  readonly batch: ResponseBatch
  readonly isStopping: () => boolean
  readonly requestIds: RequestIds
  /** Serves the request, or refuses it because of the fault. Never rejects. Undefined: it is over already. */
  readonly serve: (
    exchange: HttpExchange,
    connection: Connection,
    fault: Failure | undefined,
  ) => Promise<void> | undefined
  /** More of the request's body has come after it was waited for. */
  readonly onArrival: (exchange: HttpExchange) => void
  /** The answer to bytes that are no request, with which the connection ends. */
  readonly refusalOf: (error: HeadError) => Uint8Array
}

export class Connection {
  /** The request that is being served. */
  exchange: HttpExchange | undefined
  private readonly reader: HeadReader
  private readonly terms: ExchangeTerms
  /** What has come and belongs to no request yet. */
  private waiting: Buffer = NO_BYTES
  /** Of the next request, whose body has not come whole. */
  private head: RequestHead | undefined
  /** Of the next request, while Node's parser reads it. */
  private unusualHead: UnusualHead | undefined
  /** The body that the next bytes belong to. */
  private body: RequestBody | undefined
  /** The last answer is out, and the body of its request is taken until then. */
  private drainUntilMs: number | undefined
  private hungUpAtMs: number | undefined
  private isEnded = false
  private isReading = false
  /** Sweeps since the last request was begun, without any byte of the next one and with some. */
  private idle = 0
  private patient = 0
  /** How often the beginning of the next request was looked at. */
  private checks = 0
  private hasServed = false
  private readonly onData = (chunk: Buffer): void => this.receive(chunk)
  private readonly onEnd = (): void => this.receiveEnd()

  constructor(
    private readonly socket: Socket,
    private readonly host: ConnectionHost,
    /** Over the limit of connections: its request is refused, and it is closed. */
    readonly isSurplus: boolean,
  ) {
    const { clock, limits, serverName, batch } = host
    this.reader = new HeadReader(host.shapes, limits.headerBytesMax)
    const mustClose = (): boolean => isSurplus || host.isStopping()
    // The client's address is asked for once, since a socket that is gone has none.
    this.terms = { clock, limits, serverName, batch, mustClose, remoteAddress: socket.remoteAddress ?? "" }
    socket.on("data", this.onData)
    socket.on("end", this.onEnd)
    this.receiveFirst()
  }

  /**
   * Takes chunks on their way into the stream, which looks for more after each of them in a tick of its own.
   * Those that go into it all the same come out as data.
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

  /** Nothing is being served, and all answers are handed over to the system. */
  get isIdle(): boolean {
    const isServing = this.exchange !== undefined || this.drainUntilMs !== undefined || this.hungUpAtMs !== undefined
    // Answers of this turn have not left yet.
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
      this.body?.sweep(nowMs)
      this.exchange.sweep(nowMs)
    } else this.sweepNext(limits)
  }

  /** Gives up the next request, or the connection, after a while without it. */
  private sweepNext({ sweepMs, headersTimeoutMs, keepAliveMs }: HttpLimits): void {
    if (this.head === undefined && this.unusualHead === undefined && this.waiting.length === 0) {
      this.idle += 1
      const idleMs = this.idle * sweepMs
      if (idleMs >= (this.hasServed ? keepAliveMs : Math.min(headersTimeoutMs, keepAliveMs))) this.socket.destroy()
      return
    }
    this.patient += 1
    if (this.head !== undefined) {
      if (this.patient > PATIENCE_SWEEPS) this.readOn()
    } else if (this.patient * sweepMs >= headersTimeoutMs) this.refuse(LATE)
  }

  /** The connection is gone: requests on it that were not begun are not served any more. */
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

  /** The client sends no more. As with Node's server, it gets no answer that is not there yet, unless its body is cut. */
  private receiveEnd(): void {
    this.isEnded = true
    if (this.drainUntilMs !== undefined) return this.hangUp()
    if (this.exchange === undefined && this.head !== undefined) this.readOn()
    if (this.body !== undefined) {
      this.body.fail(fail("incompleteBody", { message: "the connection ended within the body" }))
    } else if (this.exchange === undefined && (this.waiting.length > 0 || this.unusualHead !== undefined)) {
      this.socket.destroy()
    } else this.socket.end()
  }

  /** Gives the body its bytes; returns those behind it. */
  private feed(body: RequestBody, chunk: Buffer): Buffer {
    const usedBytes = body.receive(chunk)
    if (body.isComplete) this.body = undefined
    this.setFlow()
    return usedBytes === chunk.length ? NO_BYTES : chunk.subarray(usedBytes)
  }

  /** Serves the requests that are there, one after the other. */
  private readOn(): void {
    if (this.isReading) return
    this.isReading = true
    while (this.mayBegin() && this.begin());
    this.isReading = false
  }

  private mayBegin(): boolean {
    if (this.exchange !== undefined || this.body !== undefined || this.hungUpAtMs !== undefined) return false
    return this.head !== undefined || (this.waiting.length > 0 && !this.isEnded)
  }

  /** Begins the next request; returns false if it is not there yet. */
  private begin(): boolean {
    const head = this.head ?? this.readHead()
    if (head === undefined) return false
    const { contentLength = 0, headBytes } = head
    const endAt = headBytes + contentLength
    if (head.isChunked || head.awaitsContinue || contentLength > WHOLE_BODY_BYTES_MAX) this.serveComing(head)
    else if (endAt <= this.waiting.length) this.serveWhole(head, endAt)
    else if (this.isEnded || this.checks >= LOOKS_MAX || this.patient > PATIENCE_SWEEPS) this.serveComing(head)
    else {
      this.checks += 1
      this.head = head
      return false
    }
    return true
  }

  /** The next head; undefined if it is not there yet, or is none. */
  private readHead(): RequestHead | undefined {
    if (this.unusualHead === undefined) {
      if (this.waiting[0] === CR || this.waiting[0] === LF) this.skipEmptyLines()
      if (this.waiting.length === 0) return undefined
      const reading = this.reader.read(this.waiting)
      if (typeof reading !== "string") return reading
      this.checks += 1
      if (reading === "incomplete" && this.checks <= LOOKS_MAX) return undefined
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

  /** RFC 9112 section 2.2: in front of a request. */
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

  /** Serves a request whose body is fed to it. */
  private serveComing(head: RequestHead): void {
    const { clock, limits } = this.host
    const onArrival = (): void => {
      if (this.exchange !== undefined) this.host.onArrival(this.exchange)
    }
    const hooks = { onArrival, onFlow: () => this.setFlow() }
    const body = new RequestBody(clock, limits, hooks, head)
    // What has come of the body is taken before the request is served: an answer then knows whether more is to come.
    const rest = this.waiting.subarray(head.headBytes)
    this.waiting = NO_BYTES
    this.body = body
    this.waiting = this.feed(body, rest)
    this.serve(head, body)
  }

  private serve(head: RequestHead, body: Uint8Array | RequestBody): void {
    this.head = undefined
    this.hasServed = true
    this.idle = 0
    this.patient = 0
    this.checks = 0
    const exchange = new HttpExchange(this.host.requestIds.next(), this.socket, head, body, this.terms)
    this.exchange = exchange
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
    if (body === undefined || body.isBroken || this.isEnded) return this.hangUp()
    // Closed now, the connection would break under the sender's hands, which then does not see the answer.
    const { clock, limits } = this.host
    this.drainUntilMs = clock.monotonicMs() + limits.drainMs
    body.discard(limits.drainBytesMax, () => this.hangUp())
    this.setFlow()
  }

  /** Holds the client back while what it sent is too much, and lets it send on afterwards. */
  private setFlow(): void {
    if (this.hungUpAtMs !== undefined) return
    const isAhead = this.exchange !== undefined && this.waiting.length > WAITING_BYTES_MAX
    if (isAhead || this.body?.isFull === true) this.socket.pause()
    else if (this.socket.isPaused()) this.socket.resume()
  }

  /** Ends the connection because of bytes that are no request. */
  private refuse(error: HeadError): void {
    if (error === NO_REQUEST || !this.socket.writable) this.socket.destroy()
    else this.hangUp(this.host.refusalOf(error))
  }

  /** Sends the last bytes, and takes what the client still sends for a while, so that it receives them. */
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
