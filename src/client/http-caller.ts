/**
 * One HTTP/1.1 endpoint and its kept-alive connections, as the command line and the bench call it.
 *
 * Promises  Bodies out are bytes with a declared length; bodies in stream with the socket's
 *           back-pressure, and end early only by throwing.
 * Failures  `Unreachable` before an answer, `BrokenAnswer` inside one. Statuses are not judged here.
 * Limits    `CONNECTIONS_MAX` sockets, `SILENCE_MS_MAX` without a byte in either direction.
 */
import http from "node:http"
import https from "node:https"
import { BrokenAnswer, Unreachable } from "./remote.js"

const SILENCE_MS_MAX = 60_000
const CONNECTIONS_MAX = 512
/** Error documents and listings: larger ones are no answer of a store. */
const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024

interface Call {
  readonly method: string
  /** Path and query, percent-coded. */
  readonly rawTarget: string
  /** Name, value, name, value … with `host`, and `content-length` where there is a body. */
  readonly rawHeaders: readonly string[]
  readonly body: Uint8Array | undefined
  readonly signal: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** Must be read to its end, or destroyed by breaking out of the loop. */
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
  ) {
    this.#secure = endpoint.protocol === "https:"
    const options = { keepAlive: true, maxSockets: Math.min(connectionsMax, CONNECTIONS_MAX) }
    this.#agent = this.#secure ? new https.Agent(options) : new http.Agent(options)
  }

  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = (this.#secure ? https : http).request({
        agent: this.#agent,
        // An IPv6 address in a URL has brackets, in a socket it has none.
        host: this.endpoint.hostname.replace(/^\[|\]$/g, ""),
        port: this.endpoint.port === "" ? (this.#secure ? 443 : 80) : Number(this.endpoint.port),
        method: call.method,
        path: call.rawTarget,
        headers: [...call.rawHeaders],
        signal: call.signal,
        timeout: SILENCE_MS_MAX,
      })
      request.on("timeout", () => request.destroy(new Error(`silent for ${SILENCE_MS_MAX / 1000} s`)))
      request.on("error", error => reject(this.#unreachable(error)))
      request.on("response", response => resolve(answerOf(response)))
      request.end(call.body)
    })
  }

  /** Ends the idle connections; calls under way go on. */
  close(): void {
    this.#agent.destroy()
  }

  #unreachable(error: Error): Error {
    if (error.name === "AbortError") return error
    const code: unknown = "code" in error ? error.code : undefined
    const reason =
      code === "ECONNREFUSED" ? "nothing listens there; is the store running?" : error.message || String(code)
    return new Unreachable(this.endpoint.origin, reason, error)
  }
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
        if (lengthBytes > DOCUMENT_BYTES_MAX) throw new BrokenAnswer("the answer is longer than any listing")
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
    throw new BrokenAnswer(`the answer broke off (${error instanceof Error ? error.message : String(error)})`)
  }
  if (!response.complete) throw new BrokenAnswer("the answer broke off")
}
