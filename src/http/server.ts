/**
 * An HTTP/1.1 server that knows no protocol: connections, limits, request ids, time, one log line a
 * request. What is said to a client is the protocol's, handed in.
 *
 * Promises  Every request is answered, or its connection is broken; those of one connection are served one
 *           after the other. What is no request is answered too (400, 408, 431). Stopping lets requests in
 *           flight finish, within `stopMs`.
 * Refuses   Requests whose framing is not beyond doubt (`framing-core.ts`), those of connections over the cap and
 *           those that `Admission` has no place for: `tooManyInFlight`; while stopping `stopping`.
 * Limits    `HttpLimits`. Nothing here has a timer of its own: `run` sweeps.
 */
import { createServer as createHttpServer, STATUS_CODES } from "node:http"
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { Server as TlsServer } from "node:https"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { assert } from "../base/assert.js"
import { httpDate } from "../base/dates.js"
import { asFailure, fail } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import type { Living } from "../life/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import { Admission } from "./admission.js"
import type { EntryRule, Party } from "./admission-core.js"
import { BriefConnection, type BriefHost } from "./brief-connection.js"
import { BriefReader, type BriefRequest } from "./brief-core.js"
import { BriefExchange } from "./brief-exchange.js"
import type { Certificates } from "./certificates.js"
import type { PlainAnswer, Protocol, Refusal } from "./contract.js"
import { NodeExchange } from "./exchange.js"
import { framingFault } from "./framing-core.js"
import type { HttpLimits } from "./limits.js"
import { Outbox } from "./outbox.js"
import { HeaderShapes } from "../base/request-headers.js"
import { RequestIds } from "./request-ids.js"
import { RequestRecord } from "./request-record.js"

export interface HttpServerSettings {
  /** "s3", "admin" …: in logs and metrics. */
  readonly name: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** The `Server` header. */
  readonly serverHeader: string
  readonly limits: HttpLimits
}

interface Connection {
  /** Over `connectionsMax`: it is told so and closed. */
  readonly isSurplus: boolean
  /** Of the client; asked for once, since a socket that is gone names nobody. */
  readonly remoteAddress: string
  brief: BriefConnection | undefined
  /** See `BriefHost`. */
  readonly nodeRequests: { begun: number; lastBodyBytes: number | undefined }
  /** Of Node's parser, in their order, each with its beginning: one at a time is served. */
  readonly exchanges: Map<NodeExchange, () => void>
  /** What it sends is not understood any more. */
  isBroken: boolean
  hungUpAtMs: number | undefined
}

/** What both kinds of exchanges have. */
type Served = NodeExchange | BriefExchange

/** Between looks at what is still in flight while stopping. */
const STOP_LOOK_MS = 50
const NO_BYTES = new Uint8Array()

export class HttpServer implements Living {
  readonly name: string
  private readonly server: Server
  private readonly tlsServer: TlsServer | undefined
  private readonly connections = new Map<Duplex, Connection>()
  /** A place for each exchange whose answer is not out yet. */
  private readonly admission: Admission
  private readonly record: RequestRecord
  private readonly requestIds: RequestIds
  private readonly shapes = new HeaderShapes()
  private readonly outbox: Outbox
  private stopping = false
  private isWatchingStalled = false

  constructor(
    private readonly clock: Clock,
    random: Random,
    private readonly telemetry: Telemetry,
    private readonly protocol: Protocol,
    private readonly settings: HttpServerSettings,
    private readonly certificates?: Certificates,
    entryRule?: EntryRule,
  ) {
    this.requestIds = new RequestIds(random)
    this.name = `http.${settings.name}`
    this.outbox = new Outbox(clock)
    this.admission = new Admission(clock, settings.limits, entryRule)
    this.record = new RequestRecord(telemetry, settings.name, {
      connections: () => this.connections.size,
      inFlight: () => this.admission.inFlight,
      waiting: () => this.admission.waiting,
    })
    this.tlsServer = certificates === undefined ? undefined : createTlsServer(this.options())
    this.server = this.tlsServer ?? createHttpServer(this.options())
    this.attach()
  }

  /** Binds the port; resolves with the one in use. Throws `invalidConfig`. */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    await this.loadCertificate()
    const { host, port } = this.settings
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", error => {
        reject(
          fail(
            "invalidConfig",
            { message: "the address cannot be listened on", host, port, reason: error.message },
            error,
          ),
        )
      })
      this.server.listen({ host, port, backlog: this.settings.limits.acceptsWaitingMax }, resolve)
    })
    this.server.on("error", error =>
      this.telemetry.log.error("httpServerFailed", { server: this.name, reason: error.message }),
    )
    const address = this.server.address()
    assert(typeof address === "object" && address !== null, "a listening server has an address")
    return { host: address.address, port: address.port }
  }

  /** Serves until the signal fires, then stops: first politely, after `stopMs` by force. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(this.settings.limits.sweepMs, signal)
      this.sweep()
      await this.reloadCertificate()
    }
    await this.stop()
  }

  private options(): ServerOptions & { minVersion: "TLSv1.2"; handshakeTimeout: number } {
    const { limits } = this.settings
    return {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      // A body may take hours; it is held to a minimum rate instead.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: limits.sweepMs,
      insecureHTTPParser: false,
      // Checked by us, so that the answer is the protocol's.
      requireHostHeader: false,
      highWaterMark: limits.streamBufferBytes,
      noDelay: true,
      keepAlive: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: limits.headersTimeoutMs,
    }
  }

  private attach(): void {
    const { server } = this
    const { limits } = this.settings
    // Node drops headers over its own count without a word; the block's size is the limit here.
    server.maxHeadersCount = 0
    server.maxConnections = limits.connectionsMax + limits.connectionsReserve
    const event = this.tlsServer === undefined ? "connection" : "secureConnection"
    // Those that are idle for Node may be busy here: `stop` ends them.
    server.closeIdleConnections = () => undefined
    // Node's own listener, which is given the connections that bring more than brief requests.
    const listeners = server.listeners(event)
    server.removeAllListeners(event)
    server.on(event, (socket: Socket) => {
      this.welcome(socket, () => {
        for (const listener of listeners) listener.call(server, socket)
      })
    })
    server.on("request", (request, response) => this.take(request, response, false))
    server.on("checkContinue", (request, response) => this.take(request, response, true))
    // Any other Expect is ignored, as if absent.
    server.on("checkExpectation", (request, response) => this.take(request, response, false))
    server.on("clientError", (error: Error & { code?: string }, socket) => {
      this.hearNonsense(error, socket)
    })
  }

  private welcome(socket: Socket, attachNode: () => void): void {
    const isSurplus = this.connections.size >= this.settings.limits.connectionsMax
    const connection: Connection = {
      isSurplus,
      remoteAddress: socket.remoteAddress ?? "",
      brief: undefined,
      nodeRequests: { begun: 0, lastBodyBytes: undefined },
      exchanges: new Map(),
      isBroken: false,
      hungUpAtMs: undefined,
    }
    this.connections.set(socket, connection)
    socket.on("error", () => socket.destroy())
    socket.on("close", () => {
      this.connections.delete(socket)
      connection.brief?.leave()
      for (const exchange of connection.exchanges.keys()) exchange.leave()
    })
    connection.brief = new BriefConnection(socket, this.briefHost(socket, connection, attachNode))
  }

  private briefHost(socket: Socket, connection: Connection, attachNode: () => void): BriefHost {
    const { clock } = this
    const { limits, serverHeader: serverName } = this.settings
    const terms = {
      clock,
      limits,
      serverName,
      remoteAddress: connection.remoteAddress,
      outbox: this.outbox,
      mustClose: () => this.stopping || connection.isSurplus,
    }
    return {
      reader: new BriefReader(this.shapes, limits.headerBytesMax),
      take: (request: BriefRequest) => new BriefExchange(this.requestIds.next(), socket, request, terms),
      serve: exchange => this.serveBrief(exchange, connection),
      nodeRequests: connection.nodeRequests,
      get isNodeIdle() {
        const { exchanges, isBroken, hungUpAtMs } = connection
        return exchanges.size === 0 && !isBroken && hungUpAtMs === undefined
      },
      attachNode: () => {
        attachNode()
        // A body that is looked for resumes the connection, whoever else has paused it.
        socket.on("resume", () => this.holdBack(socket, connection))
      },
      hangUp: () => {
        this.hangUp(socket, connection, NO_BYTES)
      },
    }
  }

  /** Undefined: it is over already, as most are. */
  private serveBrief(exchange: BriefExchange, connection: Connection): Promise<void> | undefined {
    const serving = this.admit(exchange, this.refusalFor(connection))
    if (serving === undefined) return this.land(exchange)
    return serving.then(() => this.land(exchange))
  }

  private take(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const connection = this.connections.get(request.socket)
    if (connection === undefined) return void request.socket.destroy()
    let mustClose = false
    const headers = this.shapes.ofFlat(request.rawHeaders)
    const exchange = new NodeExchange(this.clock, request, response, headers, this.settings.limits, {
      requestId: this.requestIds.next(),
      awaitsContinue,
      serverName: this.settings.serverHeader,
      remoteAddress: connection.remoteAddress,
      mustClose: () => mustClose || this.stopping || connection.isSurplus || connection.isBroken,
      onArrival: () => this.admission.resume(exchange),
      onLinger: () => this.admission.leave(exchange),
    })
    const fault = framingFault({ httpVersion: request.httpVersion, headersAll: name => exchange.headersAll(name) })
    mustClose = fault !== undefined
    const over = (): void => {
      connection.exchanges.delete(exchange)
      this.land(exchange)
      this.goOn(request.socket, connection)
      connection.brief?.takeBack()
    }
    connection.nodeRequests.begun += 1
    connection.nodeRequests.lastBodyBytes = exchange.chunkedTransfer ? undefined : (exchange.contentLength ?? 0)
    connection.exchanges.set(exchange, () => {
      const serving = this.admit(exchange, fault ?? this.refusalFor(connection))
      if (serving === undefined) over()
      else void serving.then(over)
    })
    if (connection.exchanges.size > 1) return this.holdBack(request.socket, connection)
    // What has come of the body is read before the request is served: an answer then knows whether more is to come.
    queueMicrotask(() => this.goOn(request.socket, connection))
  }

  private holdBack(socket: Socket, { exchanges }: Connection): void {
    if (exchanges.size > 1) socket.pause()
  }

  /** Begins the next request that Node's parser has read: all at once, those of one client took every place. */
  private goOn(socket: Socket, connection: Connection): void {
    const { exchanges, isBroken } = connection
    if (exchanges.size === 0 && isBroken) return this.hangUp(socket, connection, NO_BYTES)
    // The last one may have more to come.
    if (exchanges.size <= 1 && socket.isPaused()) socket.resume()
    const [begin] = exchanges.values()
    if (socket.writable) begin?.()
  }

  /** Why no request of this connection is served at all. */
  private refusalFor({ isSurplus }: Connection): Failure | undefined {
    if (this.stopping) return fail("stopping")
    return isSurplus ? fail("tooManyInFlight", { message: "too many connections" }) : undefined
  }

  /** Refuses the exchange, or serves it once it has a place. Never rejects. Undefined: it is over already. */
  private admit(exchange: Served, refusal: Failure | undefined): Promise<void> | undefined {
    if (refusal !== undefined) return this.serve(exchange, refusal)
    const isIn = this.admission.enterAtOnce(exchange, () => this.partyOf(exchange))
    return isIn ? this.serve(exchange, undefined) : this.serveInTurn(exchange)
  }

  private partyOf(exchange: Served): Party {
    return { account: this.protocol.accountOf?.(exchange), address: exchange.remoteAddress }
  }

  private async serveInTurn(exchange: Served): Promise<void> {
    const entering = this.admission.enter(exchange)
    this.watchStalled()
    const refusal = await entering
    if (!exchange.clientGone) await this.serve(exchange, refusal)
  }

  /** Looks after requests that hold a place and wait for their clients, for as long as others wait for a place. */
  private watchStalled(): void {
    if (this.isWatchingStalled) return
    this.isWatchingStalled = true
    const { parkAfterMs } = this.settings.limits
    this.clock.alarm(parkAfterMs, () => {
      this.isWatchingStalled = false
      const untilMs = this.clock.monotonicMs() - parkAfterMs
      for (const { exchanges } of this.connections.values()) {
        for (const exchange of exchanges.keys()) {
          if ((exchange.awaitsBodySinceMs ?? Infinity) <= untilMs) this.admission.park(exchange)
        }
      }
      if (this.admission.waiting > 0) this.watchStalled()
    })
  }

  private land(exchange: Served): undefined {
    this.admission.leave(exchange)
    this.record.request(exchange)
  }

  /** Never rejects: what goes wrong here is answered, or ends the connection. Undefined: it is over already. */
  private serve(exchange: Served, refusal: Failure | undefined): Promise<void> | undefined {
    try {
      if (refusal !== undefined) throw refusal
      const handling = this.protocol.handle(exchange)
      if (handling !== undefined) {
        return handling.then(() => this.checkAnswered(exchange)).catch(error => this.serveFailure(exchange, error))
      }
      this.checkAnswered(exchange)
      return undefined
    } catch (error) {
      return this.serveFailure(exchange, error)
    }
  }

  private checkAnswered({ answered, clientGone }: Served): void {
    if (!answered && !clientGone) throw fail("internal", { reason: "no answer was given" })
  }

  private async serveFailure(exchange: Served, error: unknown): Promise<void> {
    const failure = asFailure(error)
    exchange.note({ failure: failure.kind })
    if (failure.remedy === "reportBug") {
      const stack = error instanceof Error ? error.stack : undefined
      this.telemetry.log.error("requestBroke", {
        server: this.name,
        requestId: exchange.requestId,
        reason: failure.message,
        stack,
      })
    }
    if (exchange.answered || exchange.clientGone) return
    const { requestId, rawTarget } = exchange
    try {
      await exchange.respond(this.protocol.refuse({ requestId, failure, status: undefined, target: rawTarget }))
    } catch (second) {
      this.telemetry.log.error("requestBroke", { server: this.name, requestId, reason: asFailure(second).message })
      exchange.destroy()
    }
  }

  /** Bytes that are no request, or a body that breaks off: an answer where one can still be given. */
  private hearNonsense(error: Error & { code?: string }, socket: Duplex): void {
    const connection = this.connections.get(socket)
    if (connection === undefined) return void socket.destroy()
    const endedEarly = error.code === "HPE_INVALID_EOF_STATE"
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy()
    for (const exchange of connection.exchanges.keys()) {
      exchange.breakBody(
        endedEarly
          ? fail("incompleteBody", { message: "the connection ended within the body" })
          : fail("invalidRequest", { message: "the body's framing is broken", reason: error.code }),
      )
    }
    const isKnown = connection.isBroken
    connection.isBroken = true
    // Exchanges going on say the last words; with none, these are said here.
    if (isKnown || connection.exchanges.size > 0) return
    if (endedEarly) return void socket.destroy()
    const answer = this.protocol.refuse(this.nonsenseRefusal(error.code))
    this.hangUp(socket, connection, plainBytes(answer, httpDate(this.clock.wallMs()), this.settings.serverHeader))
  }

  /** Says the last words and takes what the client still sends for a while, so that it hears them. */
  private hangUp(socket: Duplex, connection: Connection, lastWords: Uint8Array): void {
    connection.hungUpAtMs = this.clock.monotonicMs()
    connection.brief?.release()
    socket.end(lastWords)
    socket.removeAllListeners("data")
    socket.on("data", () => undefined)
    socket.resume()
  }

  private nonsenseRefusal(code: string | undefined): Refusal {
    const requestId = this.requestIds.next()
    this.record.nonsense(requestId, code ?? "unknown")
    switch (code) {
      case "HPE_HEADER_OVERFLOW":
        return {
          requestId,
          status: 431,
          failure: fail("invalidRequest", { message: "the headers are too large" }),
          target: "",
        }
      case "ERR_HTTP_REQUEST_TIMEOUT":
        return { requestId, status: 408, failure: fail("requestTimeout"), target: "" }
      default:
        return {
          requestId,
          status: 400,
          failure: fail("invalidRequest", { message: "this is no HTTP request", reason: code }),
          target: "",
        }
    }
  }

  private sweep(): void {
    const nowMs = this.clock.monotonicMs()
    for (const [socket, { brief, exchanges, hungUpAtMs }] of this.connections) {
      if (brief !== undefined) this.sweepBrief(socket, brief, nowMs)
      for (const exchange of exchanges.keys()) exchange.sweep(nowMs)
      if (hungUpAtMs !== undefined && nowMs - hungUpAtMs > this.settings.limits.drainMs) socket.destroy()
    }
  }

  private sweepBrief(socket: Duplex, brief: BriefConnection, nowMs: number): void {
    brief.sweep(nowMs)
    const { headersTimeoutMs, keepAliveMs, sweepMs } = this.settings.limits
    const idleMs = brief.idleSweeps * sweepMs
    if (brief.isFresh && idleMs >= headersTimeoutMs) socket.destroy()
    else if (idleMs >= keepAliveMs) socket.destroy()
  }

  private async stop(): Promise<void> {
    this.stopping = true
    this.admission.stop()
    const closed = new Promise<void>(resolve => void this.server.close(() => resolve()))
    const never = new AbortController().signal
    const untilMs = this.clock.monotonicMs() + this.settings.limits.stopMs
    while (this.connections.size > 0 && this.clock.monotonicMs() < untilMs) {
      for (const [socket, { brief, exchanges, hungUpAtMs }] of this.connections) {
        // Whoever was hung up has `drainMs` to hear the last answer.
        const isServed = exchanges.size === 0 && brief?.exchange === undefined && hungUpAtMs === undefined
        // Of what was answered in this turn nothing has left yet.
        if (isServed && socket.writableLength === 0) socket.destroy()
      }
      await this.clock.sleep(STOP_LOOK_MS, never)
      this.sweep()
    }
    this.server.closeAllConnections()
    for (const socket of this.connections.keys()) socket.destroy()
    await closed
  }

  private async loadCertificate(): Promise<boolean> {
    const pair = await this.certificates?.readIfChanged()
    if (pair === undefined) return false
    this.tlsServer?.setSecureContext({ ...pair, minVersion: "TLSv1.2" })
    return true
  }

  private async reloadCertificate(): Promise<void> {
    try {
      if (await this.loadCertificate()) this.telemetry.log.info("certificateLoaded", { server: this.name })
    } catch (error) {
      this.telemetry.log.warn("certificateNotLoaded", { server: this.name, reason: asFailure(error).message })
    }
  }
}

/** An answer outside of any request, as bytes; the connection ends with it. */
function plainBytes({ status, headers, body }: PlainAnswer, date: string, server: string): Buffer {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`]
  for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i] ?? ""}: ${headers[i + 1] ?? ""}`)
  lines.push(`Date: ${date}`, `Server: ${server}`, `Content-Length: ${body.length}`, "Connection: close", "", "")
  return Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), body])
}
