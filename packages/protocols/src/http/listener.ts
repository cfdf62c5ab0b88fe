/**
 * An HTTP/1.1 server without a protocol of its own: it listens, and applies limits, request ids, admission and one log
 * line for each request. The protocol that it is given writes the text of the responses.
 *
 * Promises  Every request is answered, or its connection is closed; requests of one connection are served one
 *           after the other. Bytes that are not a request are answered too (400, 408, 431). Stopping lets requests in
 *           flight finish, within `stopMs` and until `cut` fires, and logs how many did.
 * Refuses   Requests with ambiguous framing (`framing-core.ts`); `tooManyInFlight`: requests of connections over the
 *           limit, and requests for which `Admission` has no place; `stopping`: new requests during a shutdown.
 * Limits    `HttpLimits`. The server has no timers of its own: `run` sweeps.
 */
import { STATUS_CODES } from "node:http"
import { createServer, type ListenOptions, type Server, type ServerOpts, type Socket } from "node:net"
import { createServer as createTlsServer, type Server as TlsServer, type TlsOptions } from "node:tls"
import { assert } from "@hayloft/base/assert.js"
import { httpDate } from "@hayloft/base/text/dates.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { Party } from "@hayloft/base/places-core.js"
import { clientOf } from "@hayloft/base/http/client-address.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import type { BackgroundService } from "@hayloft/base/life/contract.js"
import { NEVER } from "@hayloft/base/never.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { Admission, payerOf } from "./admission.js"
import type { CertificateSource } from "./certificates.js"
import { HttpConnection, type ConnectionHost } from "./connection.js"
import type { Exchange, PlainAnswer, Protocol, Refusal, RequestWatch } from "./contract.js"
import type { HttpExchange } from "./exchange.js"
import type { HttpLimits } from "./limits.js"
import { LATE, UnusualHeads, OVERFLOW, type HeadError } from "./unusual-head.js"
import { RequestIds } from "./request-ids.js"
import { RequestRecord } from "./request-record.js"
import { ResponseBatch } from "./response-batch.js"
import { TurnSlices } from "./turn-slices.js"

interface HttpSeams {
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
}

export interface HttpServerSettings {
  /** "s3", "admin" …; used in logs and metrics. */
  readonly name: string
  readonly host: string
  /** 0 picks any free port. */
  readonly port: number
  /** Other threads of this process listen on the port, too: Node.js from 22.12 on. Default: false. */
  readonly sharesPort?: boolean
  /**
   * Others listen on the port when this server stops: so long it goes on to serve the connections that it has, for requests
   * that are on their way. Default: 0.
   */
  readonly yieldMs?: number
  /** The `Server` header. */
  readonly serverHeader: string
  readonly limits: HttpLimits
  /** Requests that are still in flight when it fires while the server stops are cut. */
  readonly cut?: AbortSignal
  readonly watch?: RequestWatch
  /**
   * Returns why requests wait for what does not answer; undefined if it answers, or this request is answered without it. Such
   * requests are refused after `stalledAnswerMs`, while their work goes on.
   */
  readonly stalled?: (exchange: Pick<Exchange, "method" | "rawTarget" | "header">) => Failure | undefined
}

/** Interval between checks for requests still in flight while stopping. */
const STOP_CHECK_MS = 50

export class HttpServer implements BackgroundService {
  readonly name: string
  private readonly server: Server
  private readonly tlsServer: TlsServer | undefined
  private readonly connections = new Set<HttpConnection>()
  private readonly host: ConnectionHost
  private readonly record: RequestRecord
  private readonly requestIds: RequestIds
  private stopping = false
  /** Each response is the last one of its connection. */
  private isYielding = false
  /** Requests in flight that were answered since the server stops. */
  private finishedCount = 0
  private readonly closedGate = gate()
  private isWatchingStalled = false
  /** Requests that were not done within the turn in which they arrived; the function ends them. */
  private readonly underWay = new Map<HttpExchange, () => void>()
  /** Requests that were refused while their work goes on. */
  private abandoned = 0
  /** Requests that wait for a place or their turn. */
  private waiting = 0

  private readonly clock: Clock
  private readonly telemetry: Telemetry

  constructor(
    { clock, random, telemetry }: HttpSeams,
    private readonly protocol: Protocol,
    private readonly settings: HttpServerSettings,
    private readonly certificates?: CertificateSource,
    /** Holds a place for each exchange whose response has not been sent. Servers that share it stop together. */
    private readonly admission = new Admission(clock, settings.limits),
  ) {
    this.clock = clock
    this.telemetry = telemetry
    this.requestIds = new RequestIds(random)
    this.name = `http.${settings.name}`
    const now = {
      connections: () => this.connections.size,
      inFlight: () => this.exchangesInFlight(),
      waiting: () => this.waiting,
    }
    this.record = new RequestRecord(telemetry, settings.name, now, settings.watch)
    this.admission.whenWaiting(() => this.watchStalled())
    this.host = this.connectionHost()
    this.tlsServer = certificates === undefined ? undefined : this.createTlsServer()
    this.server = this.tlsServer ?? createServer(this.socketOptions(), socket => this.accept(socket))
    this.server.on("connection", () => this.admission.accepts.note())
    const { connectionsMax, connectionsReserve } = settings.limits
    this.server.maxConnections = connectionsMax + connectionsReserve
  }

  /** Binds the port; resolves with the port in use. Throws `invalidConfig`. */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    await this.loadCertificate()
    const { host, port, sharesPort = false } = this.settings
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", error => {
        reject(
          fail("invalidConfig", { message: "cannot listen on this address", host, port, reason: error.message }, error),
        )
      })
      const backlog = this.settings.limits.acceptsWaitingMax
      const at: ListenOptions & { readonly reusePort: boolean } = { host, port, backlog, reusePort: sharesPort }
      this.server.listen(at, resolve)
    })
    this.server.on("error", error =>
      this.telemetry.log.error("http_server_failed", { server: this.name, reason: error.message }),
    )
    const address = this.server.address()
    assert(typeof address === "object" && address !== null, "a listening server has an address")
    return { host: address.address, port: address.port }
  }

  /** Serves until the signal fires, then stops: gracefully at first, by force after `stopMs` or when `cut` fires. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await nextBeat(this.clock, this.settings.limits.sweepMs, signal)
        this.sweep()
        await this.reloadCertificate()
      }
      await this.stop()
    } finally {
      this.closedGate.open()
    }
  }

  /** Resolves once `run` has ended: no request is in flight. */
  get closed(): Promise<void> {
    return this.closedGate.opened
  }

  private socketOptions(): ServerOpts {
    // Half-open: a client that has ended its side still gets its response.
    return {
      allowHalfOpen: true,
      highWaterMark: this.settings.limits.streamBufferBytes,
      noDelay: true,
      keepAlive: true,
    }
  }

  private createTlsServer(): TlsServer {
    const handshakeTimeout = this.settings.limits.headersTimeoutMs
    const options: TlsOptions = { ...this.socketOptions(), minVersion: "TLSv1.2", handshakeTimeout }
    const { certificates } = this
    const SNICallback: TlsOptions["SNICallback"] = (name, done) => {
      const context = certificates?.contextOf?.(name)
      done(context === undefined ? new Error("there is no certificate for this name") : null, context)
    }
    const named = certificates?.contextOf === undefined ? {} : { SNICallback }
    const server = createTlsServer({ ...options, ...named, ALPNProtocols: ["http/1.1"] }, socket => this.accept(socket))
    server.on("tlsClientError", (_error, socket) => socket.destroy())
    return server
  }

  private connectionHost(): ConnectionHost {
    const { clock, requestIds } = this
    const { limits, serverHeader: serverName } = this.settings
    const shapes = new HeaderShapes()
    return {
      clock,
      limits,
      serverName,
      shapes,
      requestIds,
      tracer: this.telemetry.tracer,
      unusualHeads: new UnusualHeads(shapes, limits.headerBytesMax),
      batch: new ResponseBatch(clock),
      slices: new TurnSlices(clock, this.admission.accepts),
      isStopping: () => this.stopping || this.isYielding,
      serve: (exchange, connection, fault) => this.take(exchange, fault ?? this.refusalFor(connection)),
      onArrival: exchange => this.admission.resume(exchange),
      park: exchange => this.admission.park(exchange),
      turn: exchange => this.turn(exchange),
      payerOf: exchange => payerOf(exchange, exchange.party ?? this.partyOf(exchange)),
      refusalOf: error => this.malformedAnswer(error),
    }
  }

  private accept(socket: Socket): void {
    const isSurplus = this.connections.size >= this.settings.limits.connectionsMax
    const connection = new HttpConnection(socket, this.host, isSurplus)
    this.connections.add(connection)
    socket.on("error", () => socket.destroy())
    socket.on("close", () => {
      this.connections.delete(connection)
      connection.leave()
    })
  }

  /** @returns undefined if the request is already done, as most are. */
  private take(exchange: HttpExchange, refusal: Failure | undefined): Promise<void> | undefined {
    const isCrowded = this.abandoned >= this.settings.limits.stalledMax
    const serving = this.admit(exchange, refusal ?? (isCrowded ? this.settings.stalled?.(exchange) : undefined))
    if (serving === undefined) return this.finish(exchange)
    return new Promise(resolve => {
      const end = (): void => {
        if (this.underWay.delete(exchange)) {
          if (this.stopping && refusal === undefined && !exchange.clientGone) this.finishedCount += 1
          this.finish(exchange)
          resolve()
        } else this.abandoned -= 1
      }
      this.underWay.set(exchange, end)
      void serving.then(end)
    })
  }

  /** Refuses requests that have waited long enough for what does not answer; one whose answer has begun is broken off. */
  private endStalled(nowMs: number): void {
    const { stalled, limits } = this.settings
    if (stalled === undefined) return
    for (const [exchange, end] of this.underWay) {
      const isUnanswered = exchange.awaitsServer && exchange.timing.totalMs >= limits.stalledAnswerMs
      if (!isUnanswered && nowMs - (exchange.awaitsBytesSinceMs ?? nowMs) < limits.stalledBodyMs) continue
      const failure = stalled(exchange)
      if (failure === undefined) continue
      this.abandoned += 1
      void this.serveFailure(exchange, failure).then(end)
      exchange.abandon(failure)
      if (!isUnanswered) exchange.destroy()
    }
  }

  /** The reason to refuse every request of this connection, if there is one. */
  private refusalFor({ isSurplus }: HttpConnection): Failure | undefined {
    if (this.stopping) return fail("stopping")
    return isSurplus ? fail("tooManyInFlight", { message: "too many connections" }) : undefined
  }

  /** Refuses the exchange, or serves it once it has a place. Never rejects. @returns undefined if it is done. */
  private admit(exchange: HttpExchange, refusal: Failure | undefined): Promise<void> | undefined {
    if (refusal !== undefined) return this.serve(exchange, refusal)
    const hasEntered = this.admission.tryEnter(exchange, () => this.partyOf(exchange))
    return hasEntered ? this.serve(exchange, undefined) : this.serveInTurn(exchange)
  }

  private partyOf(exchange: HttpExchange): Party {
    return { account: this.protocol.accountOf?.(exchange), address: clientOf(exchange.remoteAddress) }
  }

  private exchangesInFlight(): number {
    let count = 0
    for (const { hasPlace } of this.underWay.keys()) if (hasPlace) count += 1
    return count
  }

  private serveInTurn(exchange: HttpExchange): Promise<void> {
    return new Promise(done => {
      this.waiting += 1
      this.admission.wait(exchange, refusal => {
        this.waiting -= 1
        const serving = exchange.clientGone ? undefined : this.serve(exchange, refusal)
        if (serving === undefined) done()
        else void serving.then(done)
      })
    })
  }

  private turn(exchange: HttpExchange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting += 1
      const go = (refusal: Failure | undefined): void => {
        this.waiting -= 1
        if (refusal === undefined) resolve()
        else reject(refusal)
      }
      if (this.admission.tryTurn(exchange, () => this.partyOf(exchange), go)) go(undefined)
    })
  }

  /** While requests wait for a place, parks the requests that hold one but wait for their clients. */
  private watchStalled(): void {
    if (this.isWatchingStalled) return
    this.isWatchingStalled = true
    const { parkAfterMs } = this.settings.limits
    this.clock.alarm(parkAfterMs, () => {
      this.isWatchingStalled = false
      const untilMs = this.clock.monotonicMs() - parkAfterMs
      for (const { exchange } of this.connections) {
        if ((exchange?.awaitsClientSinceMs ?? Infinity) <= untilMs && exchange !== undefined)
          this.admission.park(exchange)
      }
      if (this.admission.waiting > 0) this.watchStalled()
    })
  }

  private finish(exchange: HttpExchange): undefined {
    this.admission.leave(exchange)
    this.record.request(exchange)
  }

  /** Never rejects: a failure is answered, or ends the connection. @returns undefined if the request is done. */
  private serve(exchange: HttpExchange, refusal: Failure | undefined): Promise<void> | undefined {
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

  private checkAnswered({ answered, clientGone }: HttpExchange): void {
    if (!answered && !clientGone) throw fail("internal", { reason: "the protocol sent no response" })
  }

  private async serveFailure(exchange: HttpExchange, error: unknown): Promise<void> {
    const failure = asFailure(error)
    exchange.note({ failure: failure.kind })
    if (failure.remedy === "reportBug") {
      const stack = error instanceof Error ? error.stack : undefined
      this.telemetry.log.error("request_failed", {
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
      this.telemetry.log.error("request_failed", { server: this.name, requestId, reason: asFailure(second).message })
      exchange.destroy()
    }
  }

  /** The response to bytes that are not a request. */
  private malformedAnswer({ code }: HeadError): Uint8Array {
    const answer = this.protocol.refuse(this.malformedRefusal(code))
    return plainBytes(answer, httpDate(this.clock.wallMs()), this.settings.serverHeader)
  }

  private malformedRefusal(code: string): Refusal {
    const requestId = this.requestIds.next()
    this.record.malformed(requestId, code)
    const refusal = { requestId, target: "" }
    switch (code) {
      case OVERFLOW.code:
        return { ...refusal, status: 431, failure: fail("invalidRequest", { message: "the headers are too large" }) }
      case LATE.code:
        return { ...refusal, status: 408, failure: fail("requestTimeout") }
      default:
        return {
          ...refusal,
          status: 400,
          failure: fail("invalidRequest", { message: "the bytes are not an HTTP request", reason: code }),
        }
    }
  }

  private sweep(): void {
    const nowMs = this.clock.monotonicMs()
    for (const connection of this.connections) connection.sweep(nowMs)
    this.endStalled(nowMs)
  }

  private async stop(): Promise<void> {
    const { limits, cut = NEVER, yieldMs = 0 } = this.settings
    const closed = new Promise<void>(resolve => void this.server.close(() => resolve()))
    this.isYielding = true
    if (yieldMs > 0) await this.clock.sleep(yieldMs, cut)
    this.stopping = true
    this.admission.stop()
    this.protocol.stop?.()
    const untilMs = this.clock.monotonicMs() + limits.stopMs
    while (this.connections.size > 0 && this.clock.monotonicMs() < untilMs && !cut.aborted) {
      for (const connection of this.connections) if (connection.isIdle) connection.destroy()
      await this.clock.sleep(STOP_CHECK_MS, cut)
      this.sweep()
    }
    this.logClosed()
    for (const connection of this.connections) connection.destroy()
    await closed
  }

  private logClosed(): void {
    let cut = 0
    for (const { clientGone } of this.underWay.keys()) if (!clientGone) cut += 1
    const counts = { server: this.settings.name, finished: this.finishedCount, cut }
    if (cut > 0) this.telemetry.log.warn("requests_cut", counts)
    else this.telemetry.log.info("port_closed", counts)
  }

  private async loadCertificate(): Promise<boolean> {
    const pair = await this.certificates?.readIfChanged()
    if (pair === undefined) return false
    this.tlsServer?.setSecureContext({ ...(pair === "removed" ? {} : pair), minVersion: "TLSv1.2" })
    return true
  }

  private async reloadCertificate(): Promise<void> {
    try {
      if (await this.loadCertificate()) this.telemetry.log.info("certificate_loaded", { server: this.name })
    } catch (error) {
      this.telemetry.log.warn("certificate_load_failed", { server: this.name, reason: asFailure(error).message })
    }
  }
}

/** A response that belongs to no request, as bytes; the connection ends with it. */
function plainBytes({ status, headers, body }: PlainAnswer, date: string, server: string): Buffer {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`]
  for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i] ?? ""}: ${headers[i + 1] ?? ""}`)
  lines.push(`Date: ${date}`, `Server: ${server}`, `Content-Length: ${body.length}`, "Connection: close", "", "")
  return Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), body])
}

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>(resolve => (open = resolve))
  return { opened, open }
}
