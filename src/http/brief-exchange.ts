/**
 * A brief request as protocols see it, answered straight into its socket.
 *
 * Promises  As `exchange.ts`, without what only larger requests need: the body is there, so nothing is
 *           waited for, and nothing of it can be left unread. An answer that is in one piece goes out
 *           in one write, and is over at once where the system takes it.
 * Limits    `bytesPerSecondMin` over `receiveWindowMs` for those who take their answer.
 */
import { STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"
import { assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import { httpDate } from "../base/dates.js"
import { KIB } from "../base/limits.js"
import { Pace } from "../base/pace.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Fields } from "../seams/telemetry/contract.js"
import type { BriefRequest } from "./brief-core.js"
import type { Party } from "./admission-core.js"
import type { Answer, Exchange, RequestMeter } from "./contract.js"
import { checkHeaders } from "./framing-core.js"
import { HeaderLines, linesOf } from "./header-lines.js"
import type { HttpLimits } from "./limits.js"
import type { Outbox } from "./outbox.js"
import type { RequestHeaders } from "../base/request-headers.js"
import { oncePiece } from "./request-body.js"
import { respondWithStream, type AnswerSink } from "./streamed-answer.js"
import { StageTiming } from "./timing.js"
import { tlsVersionOf } from "./tls-version.js"
import { WriteQueue } from "./write-queue.js"

const WRITE_BYTES_MAX = 64 * KIB
/** Head and body up to this size are put together, which is cheaper than two writes. */
const ONE_WRITE_BYTES_MAX = 16 * KIB
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1")
const LINE_END = Buffer.from("\r\n", "latin1")
const NO_NOTES: Fields = Object.freeze({})

export interface BriefTerms {
  readonly clock: Clock
  readonly limits: HttpLimits
  readonly serverName: string
  readonly remoteAddress: string
  readonly outbox: Outbox
  /** Asked when the answer begins: the connection must not be used again. */
  readonly mustClose: () => boolean
}

export class BriefExchange implements Exchange, AnswerSink {
  readonly timing: StageTiming
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  readonly contentLength: number | undefined
  readonly chunkedTransfer = false
  readonly receivedBytes: number
  status: number | undefined
  sentBytes = 0
  notes: Fields = NO_NOTES
  readonly meters: RequestMeter[] = []
  clientGone = false
  /** One of those that are served now, and not yet given back. */
  hasPlace = false
  party: Party | undefined
  isParked = false
  /** The connection ends with this answer. */
  isLast = false
  readonly wholeBody: Uint8Array
  private isOpened = false
  private isChunked = false
  private abort: AbortController | undefined
  private unsentBytes = 0
  private wake: () => void = () => undefined
  /** Made when somebody has to be waited for. */
  private pace: Pace | undefined
  private writeQueue: WriteQueue | undefined

  constructor(
    readonly requestId: string,
    private readonly socket: Socket,
    { method, rawTarget, headers, contentLength, body }: BriefRequest,
    private readonly terms: BriefTerms,
  ) {
    this.timing = new StageTiming(terms.clock)
    this.method = method
    this.rawTarget = rawTarget
    this.headers = headers
    this.contentLength = contentLength
    this.wholeBody = body
    this.receivedBytes = body.length
  }

  get rawHeaders(): readonly string[] {
    return this.headers.flat()
  }

  get remoteAddress(): string {
    return this.terms.remoteAddress
  }

  get tlsVersion(): string | undefined {
    return tlsVersionOf(this.socket)
  }

  get answered(): boolean {
    return this.status !== undefined
  }

  get signal(): AbortSignal {
    if (this.abort === undefined) {
      this.abort = new AbortController()
      if (this.clientGone) this.abort.abort(goneFailure())
    }
    return this.abort.signal
  }

  header(name: string): string | undefined {
    return this.headers.get(name)
  }

  headersAll(name: string): readonly string[] {
    return this.headers.all(name)
  }

  body(): AsyncIterable<Uint8Array> {
    assert(!this.isOpened, "a body is opened once")
    this.isOpened = true
    return oncePiece(this.wholeBody)
  }

  gather(): Promise<Uint8Array> {
    return Promise.resolve(this.wholeBody)
  }

  note(fields: Fields): void {
    this.notes = this.notes === NO_NOTES ? fields : { ...this.notes, ...fields }
  }

  countIn(meter: RequestMeter): void {
    this.meters.push(meter)
  }

  respond(answer: Answer): Promise<void> | undefined {
    assert(!this.answered, "a request is answered once")
    if (!(answer.headers instanceof HeaderLines)) checkHeaders(answer.headers)
    const { body } = answer
    if (body !== undefined && !(body instanceof Uint8Array)) return respondWithStream(this, answer, body)
    const wanted = body !== undefined && this.mayHaveBody(answer.status) ? body : NO_BYTES
    if (this.clientGone) return undefined
    const head = this.headOf(answer, body?.length ?? answer.contentLength ?? 0)
    this.sentBytes = wanted.length
    if (wanted.length <= ONE_WRITE_BYTES_MAX) {
      const isOver = this.terms.outbox.send(this.socket, wanted.length === 0 ? head : joined(head, wanted))
      return isOver ? undefined : this.finish()
    }
    this.socket.cork()
    this.send(head)
    this.write(answer.isLent === true ? Uint8Array.from(wanted) : wanted)
    this.socket.uncork()
    this.sentBytes = wanted.length
    return this.socket.writableLength === 0 ? undefined : this.finish()
  }

  begin(answer: Answer, contentLength: number | undefined): void {
    this.send(this.headOf(answer, contentLength))
    this.isChunked = contentLength === undefined && this.mayHaveBody(answer.status)
  }

  write(piece: Uint8Array): void {
    // All parts in one call of the system: a call for each costs a large read a quarter of the main thread.
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

  handedOver(): Promise<void> {
    return this.until(() => this.unsentBytes === 0)
  }

  finish(): Promise<void> {
    let isOut = false
    this.socket.write(this.isChunked ? LAST_CHUNK : NO_BYTES, () => {
      isOut = true
      this.wake()
    })
    return this.until(() => isOut)
  }

  destroy(): void {
    if (this.socket instanceof TLSSocket || this.socket.destroyed) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  /** The connection is gone. */
  leave(): void {
    if (this.clientGone) return
    this.clientGone = true
    this.abort?.abort(goneFailure())
    this.wake()
  }

  /** Ends what is taken too slowly. */
  sweep(nowMs: number): void {
    if (this.pace === undefined) return
    this.writeQueue ??= new WriteQueue(this.socket)
    this.pace.moved(this.writeQueue.leftBytes())
    if (this.pace.isTooSlow(nowMs)) this.destroy()
  }

  private async until(isDone: () => boolean): Promise<void> {
    const { clock, limits } = this.terms
    this.pace ??= new Pace(limits.bytesPerSecondMin, limits.receiveWindowMs)
    this.pace.wait(clock.monotonicMs())
    while (!isDone() && !this.clientGone) await new Promise<void>(resolve => (this.wake = resolve))
    this.pace.rest(clock.monotonicMs())
  }

  private mayHaveBody(status: number): boolean {
    return this.method !== "HEAD" && status !== 304 && status !== 204
  }

  private headOf({ status, headers }: Answer, contentLength: number | undefined): string {
    const { clock, serverName, mustClose } = this.terms
    const lines = headers instanceof HeaderLines ? headers.text : linesOf(headers)
    let head = `${statusLine(status)}${lines}`
    head += `Date: ${httpDate(clock.wallMs())}\r\nServer: ${serverName}\r\nServer-Timing: ${this.timing.header()}\r\n`
    const mayBeMeasured = status !== 204 && status !== 304
    if (contentLength !== undefined && mayBeMeasured) head += `Content-Length: ${contentLength}\r\n`
    else if (this.mayHaveBody(status)) head += "Transfer-Encoding: chunked\r\n"
    this.status = status
    this.isLast = mustClose()
    return head + (this.isLast ? "Connection: close\r\n\r\n" : keptLines(this.terms.limits))
  }

  private send(head: string): void {
    this.socket.write(head, "latin1")
  }
}

function joined(head: string, body: Uint8Array): Buffer {
  const bytes = takeMemory(head.length + body.length)
  bytes.write(head, 0, "latin1")
  bytes.set(body, head.length)
  return bytes
}

/**
 * Answers are cut from pieces of this size: memory of their own costs small ones more than all their bytes. Whoever
 * takes no answer keeps a whole piece; larger ones save nothing more.
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
const NO_BYTES = new Uint8Array()
const goneFailure = () => fail("incompleteBody", { message: "the client is gone" })

let keptMs = -1
let keptText = ""

/** The end of a head whose connection stays. */
function keptLines({ keepAliveMs }: HttpLimits): string {
  if (keepAliveMs !== keptMs) {
    keptMs = keepAliveMs
    keptText = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`
  }
  return keptText
}
