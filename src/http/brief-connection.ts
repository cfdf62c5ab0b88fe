/**
 * A connection for as long as brief requests come over it.
 *
 * Promises  One request at a time, in their order. At the first byte that begins no brief request the
 *           connection goes to Node's parser with everything that was not served yet, and stays there:
 *           slow senders, large bodies and whatever is odd are its business.
 * Limits    What comes while a request is being served waits up to `WAITING_BYTES_MAX`, then the client
 *           is held back. A request that has not come whole after `PATIENCE_SWEEPS`, or is looked at more than
 *           `LOOKS_MAX` times, goes to Node too, whose parser begins no request anew with each piece of it.
 */
import type { Socket } from "node:net"
import { KIB } from "../base/limits.js"
import type { BriefExchange } from "./brief-exchange.js"
import type { BriefReader, BriefRequest } from "./brief-core.js"

const WAITING_BYTES_MAX = 64 * KIB
const PATIENCE_SWEEPS = 2
/** 64 KiB come in 46 frames of Ethernet. */
const LOOKS_MAX = 64
const NO_BYTES = Buffer.alloc(0)

export interface BriefHost {
  readonly reader: BriefReader
  /** Begins the exchange of a request. */
  take(request: BriefRequest): BriefExchange
  /** Undefined: it is over already. */
  serve(exchange: BriefExchange): Promise<void> | undefined
  /** From now on the connection is Node's. */
  give(): void
  /** The last answer has been given. */
  hangUp(): void
}

export class BriefConnection {
  exchange: BriefExchange | undefined
  private waiting: Buffer = NO_BYTES
  private isGiven = false
  private isEnded = false
  private isReading = false
  /** Looks at this connection since it last served, without any request there and with the beginning of one. */
  private idle = 0
  private patient = 0
  /** How often the beginning of the next request was read. */
  private looks = 0
  private hasServed = false
  private readonly onData = (chunk: Buffer): void => this.hear(chunk)
  private readonly onEnd = (): void => this.hearEnd()

  constructor(
    private readonly socket: Socket,
    private readonly host: BriefHost,
  ) {
    socket.on("data", this.onData)
    socket.on("end", this.onEnd)
    this.hearFirst()
  }

  /**
   * Hears chunks on their way into the stream, which looks for more after each of them in a tick of its own.
   * What goes into it all the same comes out as data.
   */
  private hearFirst(): void {
    const { socket } = this
    const push = socket.push.bind(socket)
    socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (!Buffer.isBuffer(chunk) || socket.isPaused() || socket.readableLength > 0) return push(chunk, encoding)
      this.hear(chunk)
      return true
    }
  }

  /** Sweeps for which its client has said nothing. */
  get idleSweeps(): number {
    return this.idle
  }

  /** Nothing has been served yet. */
  get isFresh(): boolean {
    return !this.hasServed
  }

  sweep(nowMs: number): void {
    if (this.exchange !== undefined) return this.exchange.sweep(nowMs)
    if (this.waiting.length === 0) this.idle += 1
    else this.patient += 1
    if (this.patient > PATIENCE_SWEEPS) this.give()
  }

  /** The connection is gone: what it has asked for and nobody has begun is not served any more. */
  leave(): void {
    this.waiting = NO_BYTES
    this.exchange?.leave()
  }

  private hear(chunk: Buffer): void {
    this.waiting = this.waiting.length === 0 ? chunk : Buffer.concat([this.waiting, chunk])
    if (this.exchange === undefined) this.readOn()
    else if (this.waiting.length > WAITING_BYTES_MAX) this.socket.pause()
  }

  /** The client is going, as Node's server sees it too: nobody waits for an answer that is not there yet. */
  private hearEnd(): void {
    this.isEnded = true
    if (this.exchange === undefined && this.waiting.length > 0) this.give()
    else this.socket.end()
  }

  /** Serves what is there, one after the other. */
  private readOn(): void {
    if (this.isReading) return
    this.isReading = true
    while (this.exchange === undefined && !this.isGiven && !this.isEnded && this.waiting.length > 0) {
      const request = this.host.reader.read(this.waiting)
      this.looks += 1
      if (request === "incomplete" && this.looks <= LOOKS_MAX) break
      if (typeof request === "string") this.give()
      else this.serve(request)
    }
    this.isReading = false
  }

  private serve(request: BriefRequest): void {
    this.waiting = request.endAt === this.waiting.length ? NO_BYTES : this.waiting.subarray(request.endAt)
    this.hasServed = true
    this.idle = 0
    this.patient = 0
    this.looks = 0
    const exchange = this.host.take(request)
    this.exchange = exchange
    const serving = this.host.serve(exchange)
    if (serving === undefined) this.over(exchange)
    else {
      void serving.then(() => {
        this.over(exchange)
        this.readOn()
        this.hearOn()
      })
    }
  }

  /** Lets the client say more once what waits has been served, all but `WAITING_BYTES_MAX` of it. */
  private hearOn(): void {
    const isEnough = this.exchange !== undefined && this.waiting.length > WAITING_BYTES_MAX
    if (!this.isGiven && !isEnough && this.socket.isPaused()) this.socket.resume()
  }

  private over({ isLast }: BriefExchange): void {
    this.exchange = undefined
    if (!isLast) return
    this.leaveSocket()
    this.host.hangUp()
  }

  private leaveSocket(): void {
    this.isGiven = true
    this.waiting = NO_BYTES
    this.socket.off("data", this.onData)
    this.socket.off("end", this.onEnd)
    Reflect.deleteProperty(this.socket, "push")
  }

  private give(): void {
    const { socket, waiting } = this
    this.leaveSocket()
    this.host.give()
    if (waiting.length > 0) socket.emit("data", waiting)
    if (this.isEnded) socket.emit("end")
    else if (socket.isPaused()) socket.resume()
  }
}
