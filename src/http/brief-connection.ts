/**
 * A connection, and which parser reads the next request: the one for brief requests, or Node's.
 *
 * Promises  One request at a time, in their order. A request that is not brief goes to Node's parser: slow senders,
 *           large bodies and whatever is odd are its business. Once it has been answered, the next request is read here
 *           again. Where nobody can tell where the request ends (its head came in pieces that said nothing yet),
 *           Node's parser keeps the connection until it is seen to be between two requests.
 * Limits    What comes while a request is being served waits up to `WAITING_BYTES_MAX`, then the client
 *           is held back. A request that has not come whole after `PATIENCE_SWEEPS`, or is looked at more than
 *           `LOOKS_MAX` times, goes to Node too, whose parser begins no request anew with each piece of it.
 */
import type { Socket } from "node:net"
import { freePiece } from "../base/free-memory.js"
import { KIB } from "../base/limits.js"
import type { BriefExchange } from "./brief-exchange.js"
import type { BriefReader, BriefRequest } from "./brief-core.js"
import { headBytesOf, LastBytes, NodeParser } from "./node-parser.js"

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
  /** Has Node's server listen to the connection, once. */
  attachNode(): void
  /** How many requests Node's parser has begun; of the last, the length of its body: undefined where it comes in chunks. */
  readonly nodeRequests: { readonly begun: number; readonly lastBodyBytes: number | undefined }
  /** Every request of Node's parser has been answered, and the connection goes on. */
  readonly isNodeIdle: boolean
  /** The last answer has been given. */
  hangUp(): void
}

export class BriefConnection {
  exchange: BriefExchange | undefined
  private waiting: Buffer = NO_BYTES
  private node: NodeParser | undefined
  /** The request that is being read is Node's. */
  private isNodes = false
  /** What is still to come of Node's request; undefined: nobody knows. */
  private nodesBytes: number | undefined
  private readonly lastBytes = new LastBytes()
  private isReleased = false
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
    // Node has timers of its own.
    if (this.isNodes) return
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
    if (this.isNodes) return this.hearForNode(chunk)
    this.waiting = this.waiting.length === 0 ? chunk : Buffer.concat([this.waiting, chunk])
    if (this.exchange === undefined) this.readOn()
    else if (this.waiting.length > WAITING_BYTES_MAX) this.socket.pause()
  }

  /** The client is going, as Node's server sees it too: nobody waits for an answer that is not there yet. */
  private hearEnd(): void {
    this.isEnded = true
    if (this.isNodes) this.node?.end()
    else if (this.exchange === undefined && this.waiting.length > 0) this.give()
    else this.socket.end()
  }

  /** Serves what is there, one after the other. */
  private readOn(): void {
    if (this.isReading) return
    this.isReading = true
    while (
      this.exchange === undefined &&
      !this.isNodes &&
      !this.isReleased &&
      !this.isEnded &&
      this.waiting.length > 0
    ) {
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
    if (!this.isNodes && !this.isReleased && !isEnough && this.socket.isPaused()) this.socket.resume()
  }

  private over({ isLast }: BriefExchange): void {
    this.exchange = undefined
    if (!isLast) return
    this.host.hangUp()
  }

  /** Nothing that comes is read any more. */
  release(): void {
    this.isReleased = true
    this.waiting = NO_BYTES
    this.socket.off("data", this.onData)
    this.socket.off("end", this.onEnd)
    Reflect.deleteProperty(this.socket, "push")
  }

  /** What waits goes to Node's parser: of a request whose end can be told, no more than that. */
  private give(): void {
    const { socket, waiting } = this
    this.waiting = NO_BYTES
    this.isNodes = true
    this.nodesBytes = undefined
    this.idle = 0
    this.patient = 0
    this.looks = 0
    this.attach()
    // Before Node's parser holds its sender back.
    if (socket.isPaused() && !this.isEnded) socket.resume()
    const headBytes = headBytesOf(waiting)
    const { begun } = this.host.nodeRequests
    this.readByNode(waiting.subarray(0, headBytes === 0 ? waiting.length : headBytes))
    const { begun: begunNow, lastBodyBytes } = this.host.nodeRequests
    if (headBytes > 0 && begunNow === begun + 1) this.nodesBytes = lastBodyBytes
    if (headBytes > 0 && headBytes < waiting.length) this.hearForNode(waiting.subarray(headBytes))
    if (this.isEnded) this.node?.end()
    this.takeBack()
  }

  private attach(): void {
    const { socket } = this
    this.node ??= new NodeParser(socket, () => {
      // Node reads a connection past its stream unless somebody begins to listen to it afterwards.
      socket.off("data", this.onData)
      this.host.attachNode()
    })
    if (!socket.listeners("data").includes(this.onData)) socket.on("data", this.onData)
  }

  private hearForNode(chunk: Buffer): void {
    const length = Math.min(chunk.length, this.nodesBytes ?? Infinity)
    const rest = chunk.subarray(length)
    if (rest.length > 0) this.waiting = this.waiting.length === 0 ? rest : Buffer.concat([this.waiting, rest])
    const isOfBody = this.nodesBytes !== undefined
    if (length > 0) {
      if (this.nodesBytes !== undefined) this.nodesBytes -= length
      this.readByNode(chunk.subarray(0, length))
      // Its parser has copied a body's bytes.
      if (isOfBody && rest.length === 0) freePiece(chunk)
    }
    if (this.waiting.length > WAITING_BYTES_MAX) this.socket.pause()
    this.takeBack()
  }

  private readByNode(bytes: Buffer): void {
    this.lastBytes.note(bytes)
    this.node?.read(bytes)
  }

  /** To be called when Node's requests may have been answered: reads the next request here, if none of Node's is under way. */
  takeBack(): void {
    const isBetween = this.nodesBytes === undefined ? this.lastBytes.isEnd : this.nodesBytes === 0
    if (!this.isNodes || !isBetween || this.isReleased || !this.host.isNodeIdle || !this.socket.writable) return
    this.isNodes = false
    this.hasServed = true
    // Node's time for idle connections; ours is in `sweep`.
    this.socket.setTimeout(0)
    this.readOn()
    this.hearOn()
  }
}
