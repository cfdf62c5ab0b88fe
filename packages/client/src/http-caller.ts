/**
 * One HTTP/1.1 endpoint and its keep-alive connections, for the command line, the bench and remote buckets.
 *
 * Promises  Request bodies have a declared length; both they and response bodies stream with the socket's back-pressure,
 *           and response bodies end early only by throwing. A response that comes before the whole body was sent ends
 *           the sending, and the connection with it.
 * Failures  `Unreachable` before a response, `BrokenAnswer` during one, `SourceFailure` of a streamed body, an
 *           `AbortError` once a signal has fired. Callers interpret the status.
 * Limits    `CONNECTIONS_MAX` sockets, `SILENCE_MS_MAX` without a byte in either direction; of documents
 *           `DOCUMENT_BYTES_MAX`, of those that tell of a failure `FAILURE_BYTES_MAX`. `CallerLimits`, where they are set:
 *           how long a response may take to begin, and how slowly a body may come.
 */
import http from "node:http"
import https from "node:https"
import { onAbort } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { atLeastRate, type LeastRate } from "./least-rate.js"
import { BrokenAnswer, Unreachable } from "./remote.js"
import { BodySending, isStreamed, SourceFailure, type StreamedBody } from "./streamed-body.js"
import { tlsOptionsOf, type Trust } from "./trust.js"

const SILENCE_MS_MAX = 60_000
const CONNECTIONS_MAX = 512
/** For listings: a store sends no larger ones. */
const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024
/** The limit for a response with a status of 300 or more; the rest is not read. */
const FAILURE_BYTES_MAX = 64 * 1024

interface Call {
  readonly method: string
  /** Path and query, percent-encoded. */
  readonly rawTarget: string
  /** Name, value, name, value … with `host`, and `content-length` if there is a body. */
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array | StreamedBody | undefined
  readonly signal: AbortSignal
  /** Ends this call as well. */
  readonly also?: AbortSignal | undefined
}

interface CallerLimits {
  readonly silenceMs?: number | undefined
  /** A connection that is not established within this time fails. Undefined: only silence ends it. */
  readonly connect?: { readonly withinMs: number; readonly clock: Clock } | undefined
  /** The headers of a response must be there within this time after the request was sent, however they come. */
  readonly head?: { readonly withinMs: number; readonly clock: Clock } | undefined
  /** The least rate applies to bodies of responses to GET: others may be kept alive by a byte from time to time. */
  readonly rate?: LeastRate | undefined
}

export interface ServerAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** It came before the whole of a streamed body was sent; the rest was not. */
  readonly isEarly: boolean
  /** Must be read to its end, or destroyed by leaving the loop. */
  readonly body: AsyncIterable<Uint8Array>
  /**
   * The whole body as bytes. Throws `BrokenAnswer` above `DOCUMENT_BYTES_MAX`. With a status of 300 or more: at most its
   * first `FAILURE_BYTES_MAX`; a longer response ends there, and its connection with it.
   */
  document(): Promise<Buffer>
}

export class HttpCaller {
  readonly #agent: http.Agent
  readonly #secure: boolean
  readonly #silenceMs: number

  constructor(
    readonly endpoint: URL,
    connectionsMax: number = CONNECTIONS_MAX,
    trust?: Trust,
    private readonly limits: CallerLimits = {},
  ) {
    this.#silenceMs = limits.silenceMs ?? SILENCE_MS_MAX
    this.#secure = endpoint.protocol === "https:"
    const options = { keepAlive: true, maxSockets: Math.min(connectionsMax, CONNECTIONS_MAX) }
    this.#agent = this.#secure ? new https.Agent({ ...options, ...tlsOptionsOf(trust) }) : new http.Agent(options)
  }

  call(call: Call): Promise<ServerAnswer> {
    const { body, signal, also } = call
    const fired = [signal, also].find(one => one?.aborted)
    if (fired !== undefined) return Promise.reject(interruption(fired.reason))
    return new Promise((resolve, reject) => {
      const request = this.#requestOf(call)
      /** The reason why this side ended the call. */
      const ended: Ending = { by: undefined }
      const end = (error: Error): void => {
        ended.by ??= error
        reject(error instanceof SourceFailure || isInterruption(error) ? error : this.#unreachable(error))
        request.destroy(error)
      }
      const sending = isStreamed(body)
        ? new BodySending(request, body, reason => end(new SourceFailure(reason)))
        : undefined
      // A request that waits for a connection would notice its own end only once it has one.
      const unlisten = onAbort([signal, also], reason => end(interruption(reason)))
      const disarmHead = this.#headWithin(request, end)
      request.on("timeout", () => end(new Error(`no data for ${this.#silenceMs / 1000} s`)))
      request.on("error", error => reject(this.#unreachable(error)))
      request.on("close", () => {
        unlisten()
        disarmHead()
        sending?.stop()
        // Without effect once there was a response or an error.
        reject(this.#unreachable(new Error("the connection closed without a response")))
      })
      // No request asks for another protocol; the request closes after this.
      request.on("upgrade", (_, socket) => socket.destroy())
      request.on("response", response => {
        // Node takes a 101 that names no protocol for a response.
        if ((response.statusCode ?? 0) < 200) return void request.destroy()
        disarmHead()
        const isEarly = sending?.isSent === false
        sending?.stop()
        // A connection on which the rest of a body is missing cannot have another request.
        response.once("end", () => void (request.writableFinished || request.destroy()))
        resolve(
          answerOf(response, isEarly, bytesOf(response, ended), call.method === "GET" ? this.limits.rate : undefined),
        )
      })
      request.on("socket", socket => {
        const { connect } = this.limits
        if (!socket.connecting) return sending?.start()
        const late = (): void => end(new Error(`no connection within ${(connect?.withinMs ?? 0) / 1000} s`))
        const disarm = connect?.clock.alarm(connect.withinMs, late)
        socket.once(this.#secure ? "secureConnect" : "connect", () => {
          disarm?.()
          sending?.start()
        })
        socket.once("close", () => disarm?.())
      })
      if (!isStreamed(body)) request.end(body)
    })
  }

  /** Ends the call if the headers of its response take too long. Returns what calls that off. */
  #headWithin(request: http.ClientRequest, end: (error: Error) => void): () => void {
    const { head } = this.limits
    if (head === undefined) return () => undefined
    let disarm: (() => void) | undefined
    const { withinMs, clock } = head
    const late = (): void => end(new Error(`no response within ${withinMs / 1000} s`))
    const arm = (): void => {
      disarm = clock.alarm(withinMs, late)
    }
    request.once("finish", arm)
    return () => {
      request.off("finish", arm)
      disarm?.()
    }
  }

  #requestOf(call: Call): http.ClientRequest {
    return (this.#secure ? https : http).request({
      agent: this.#agent,
      // IPv6 addresses have brackets in URLs, but not in sockets.
      host: this.endpoint.hostname.replace(/^\[|\]$/g, ""),
      port: this.endpoint.port === "" ? (this.#secure ? 443 : 80) : Number(this.endpoint.port),
      method: call.method,
      path: call.rawTarget,
      headers: [...call.rawHeaders],
      timeout: this.#silenceMs,
    })
  }

  /** Closes idle connections; calls in progress continue. */
  close(): void {
    this.#agent.destroy()
  }

  #unreachable(error: Error): Error {
    const code: unknown = "code" in error ? error.code : undefined
    return new Unreachable(this.endpoint.origin, reasonOf(error.message, String(code)), error)
  }
}

const UNKNOWN_ISSUER = /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT)/

function reasonOf(message: string, code: string): string {
  if (code === "ECONNREFUSED") return "connection refused; is the store running?"
  if (UNKNOWN_ISSUER.test(code)) return `${message}; to trust it, set AWS_CA_BUNDLE to the file of its certificate`
  return message || code
}

interface Ending {
  by: Error | undefined
}

const isInterruption = (error: unknown): error is Error => error instanceof Error && error.name === "AbortError"

const interruption = (reason: unknown): Error =>
  Object.assign(new Error("the request was interrupted", { cause: reason }), { name: "AbortError" })

function answerOf(
  response: http.IncomingMessage,
  isEarly: boolean,
  bytes: AsyncIterable<Uint8Array>,
  rate: LeastRate | undefined,
): ServerAnswer {
  const body = rate === undefined ? bytes : atLeastRate(rate, bytes)
  const status = response.statusCode ?? 0
  return {
    isEarly,
    status,
    headers: response.headers,
    body,
    async document() {
      const chunks: Uint8Array[] = []
      let lengthBytes = 0
      for await (const chunk of body) {
        lengthBytes += chunk.length
        if (status >= 300 && lengthBytes > FAILURE_BYTES_MAX) {
          chunks.push(chunk.subarray(0, chunk.length - (lengthBytes - FAILURE_BYTES_MAX)))
          break
        }
        if (lengthBytes > DOCUMENT_BYTES_MAX) throw new BrokenAnswer("the response is longer than any listing")
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    },
  }
}

async function* bytesOf(response: http.IncomingMessage, ended: Ending): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) if (chunk instanceof Uint8Array) yield chunk
  } catch (error) {
    throw interruptedBy(ended.by ?? error)
  }
  if (!response.complete || ended.by !== undefined) throw interruptedBy(ended.by)
}

function interruptedBy(error: unknown): Error {
  if (isInterruption(error)) return error
  const why = error === undefined ? "" : ` (${error instanceof Error ? error.message : JSON.stringify(error)})`
  return new BrokenAnswer(`the response was interrupted${why}`)
}
