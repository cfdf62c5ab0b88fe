/**
 * One HTTP/1.1 endpoint and its keep-alive connections, for the command line and the bench.
 *
 * Promises  Request bodies are bytes with a declared length; response bodies stream with the socket's back-pressure,
 *           and end early only by throwing.
 * Failures  `Unreachable` before a response, `BrokenAnswer` during one. Callers interpret the status.
 * Limits    `CONNECTIONS_MAX` sockets, `SILENCE_MS_MAX` without a byte in either direction.
 */
import http from "node:http"
import https from "node:https"
import { BrokenAnswer, Unreachable } from "./remote.js"
import { tlsOptionsOf, type Trust } from "./trust.js"

const SILENCE_MS_MAX = 60_000
const CONNECTIONS_MAX = 512
/** For error documents and listings: a store sends no larger ones. */
const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024

interface Call {
  readonly method: string
  /** Path and query, percent-encoded. */
  readonly rawTarget: string
  /** Name, value, name, value … with `host`, and `content-length` if there is a body. */
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array | undefined
  readonly signal: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** Must be read to its end, or destroyed by leaving the loop. */
  readonly body: AsyncIterable<Uint8Array>
  /** The whole body as bytes. Throws `BrokenAnswer` above `DOCUMENT_BYTES_MAX`. */
  document(): Promise<Buffer>
}

export class HttpCaller {
  readonly #agent: http.Agent
  readonly #secure: boolean

  constructor(
    readonly endpoint: URL,
    connectionsMax: number = CONNECTIONS_MAX,
    trust?: Trust,
  ) {
    this.#secure = endpoint.protocol === "https:"
    const options = { keepAlive: true, maxSockets: Math.min(connectionsMax, CONNECTIONS_MAX) }
    this.#agent = this.#secure ? new https.Agent({ ...options, ...tlsOptionsOf(trust) }) : new http.Agent(options)
  }

  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = (this.#secure ? https : http).request({
        agent: this.#agent,
        // IPv6 addresses have brackets in URLs, but not in sockets.
        host: this.endpoint.hostname.replace(/^\[|\]$/g, ""),
        port: this.endpoint.port === "" ? (this.#secure ? 443 : 80) : Number(this.endpoint.port),
        method: call.method,
        path: call.rawTarget,
        headers: [...call.rawHeaders],
        signal: call.signal,
        timeout: SILENCE_MS_MAX,
      })
      request.on("timeout", () => request.destroy(new Error(`no data for ${SILENCE_MS_MAX / 1000} s`)))
      request.on("error", error => reject(this.#unreachable(error)))
      request.on("response", response => resolve(answerOf(response)))
      request.end(call.body)
    })
  }

  /** Closes idle connections; calls in progress continue. */
  close(): void {
    this.#agent.destroy()
  }

  #unreachable(error: Error): Error {
    if (error.name === "AbortError") return error
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

function answerOf(response: http.IncomingMessage): Answer {
  const body = bytesOf(response)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    async document() {
      const chunks: Uint8Array[] = []
      let lengthBytes = 0
      for await (const chunk of body) {
        lengthBytes += chunk.length
        if (lengthBytes > DOCUMENT_BYTES_MAX) throw new BrokenAnswer("the response is longer than any listing")
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    },
  }
}

async function* bytesOf(response: http.IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) if (chunk instanceof Uint8Array) yield chunk
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw error
    throw new BrokenAnswer(`the response was interrupted (${error instanceof Error ? error.message : String(error)})`)
  }
  if (!response.complete) throw new BrokenAnswer("the response was interrupted")
}
