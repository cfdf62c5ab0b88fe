/** A client of the admin API: JSON or bytes in, JSON out, the token in a header. Failures like those of the S3 client. */
import { timeIn, timeOf } from "./answer-time.js"
import { HttpCaller, type ServerAnswer } from "./http-caller.js"
import { BrokenAnswer, briefCode, briefMessage, RemoteFailure } from "./remote.js"
import type { Trust } from "./trust.js"

export interface AdminAccess {
  readonly endpoint: string
  readonly token: string
  readonly trust?: Trust
}

/** The maximum length of a line of a stream; the longest have a key and some names. */
const LINE_CHARACTERS_MAX = 1024 * 1024

interface AdminCall {
  readonly method: string
  readonly path: string
  readonly query: Query
  readonly body: unknown
  /** By default the body is JSON. */
  readonly type: string | undefined
}

type Query = Readonly<Record<string, string | undefined>>

export class AdminClient {
  readonly #caller: HttpCaller
  readonly #host: string
  #answeredMs: number | undefined

  constructor(
    private readonly access: AdminAccess,
    private readonly signal: AbortSignal,
  ) {
    const url = new URL(access.endpoint)
    this.#caller = new HttpCaller(url, undefined, access.trust)
    this.#host = url.host
  }

  close(): void {
    this.#caller.close()
  }

  get(path: string, query: Query = {}): Promise<unknown> {
    return this.#call("GET", targetOf(path, query), undefined)
  }

  /** A document that is not JSON, such as the metrics. */
  async text(path: string): Promise<string> {
    const answer = await this.#send("GET", path, undefined)
    if (answer.status >= 300) throw await failureOf(answer)
    return (await answer.document()).toString("utf8")
  }

  /** The lines of a stream as they come, until the server ends it. Throws when the connection breaks. */
  async *lines(path: string, query: Query = {}): AsyncGenerator<unknown> {
    const answer = await this.#send("GET", targetOf(path, query), undefined)
    if (answer.status >= 300) throw await failureOf(answer)
    let rest = ""
    const decoder = new TextDecoder()
    for await (const piece of answer.body) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split("\n")
      rest = lines.pop() ?? ""
      if (rest.length > LINE_CHARACTERS_MAX) throw new BrokenAnswer("a line of the stream is too long")
      for (const line of lines) yield parseAnswer(line)
    }
  }

  /** Any request; its body is JSON, or bytes of a media type. */
  ask({ method, path, query, body, type }: AdminCall): Promise<unknown> {
    const bytes = body === undefined || body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
    return this.#call(method, targetOf(path, query), bytes, type)
  }

  /** The store's clock, to the second, at its last response that told it. */
  get answeredMs(): number | undefined {
    return this.#answeredMs
  }

  /** The store's clock, to the second: what ends after some time ends by it. Throws `BrokenAnswer`. */
  async nowMs(): Promise<number> {
    const answer = await this.#send("GET", "/health/live", undefined)
    await answer.document()
    return timeOf(answer)
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.#call("POST", path, Buffer.from(JSON.stringify(body)))
  }

  put(path: string, body: unknown = {}): Promise<unknown> {
    return this.#call("PUT", path, Buffer.from(JSON.stringify(body)))
  }

  /** Sends bytes as they are; `type` is their media type. */
  putBytes(path: string, bytes: Uint8Array, type: string, query: Query = {}): Promise<unknown> {
    return this.#call("PUT", targetOf(path, query), bytes, type)
  }

  async remove(path: string): Promise<void> {
    await this.#call("DELETE", path, undefined)
  }

  async #call(method: string, rawTarget: string, body: Uint8Array | undefined, type?: string): Promise<unknown> {
    const answer = await this.#send(method, rawTarget, body, type)
    if (answer.status >= 300) throw await failureOf(answer)
    const text = (await answer.document()).toString("utf8")
    return text === "" ? undefined : parseAnswer(text)
  }

  async #send(
    method: string,
    rawTarget: string,
    body: Uint8Array | undefined,
    type = "application/json",
  ): Promise<ServerAnswer> {
    const rawHeaders = ["host", this.#host, "authorization", `Bearer ${this.access.token}`]
    if (body !== undefined) rawHeaders.push("content-type", type, "content-length", String(body.length))
    const answer = await this.#caller.call({ method, rawTarget, rawHeaders, body, signal: this.signal })
    this.#answeredMs = timeIn(answer) ?? this.#answeredMs
    return answer
  }
}

function targetOf(path: string, query: Query): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const text = new URLSearchParams(given).toString().replaceAll("+", "%20")
  return text === "" ? path : `${path}?${text}`
}

async function failureOf(answer: ServerAnswer): Promise<RemoteFailure> {
  const { status } = answer
  const text = (await answer.document()).toString("utf8")
  const requestId = String(answer.headers["x-request-id"] ?? "") || undefined
  const { code, message } = errorOf(text === "" ? undefined : parseAnswer(text))
  return new RemoteFailure(status, code ?? `http-${status}`, message ?? `status ${status}`, requestId)
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BrokenAnswer("this is not an admin API: the response is not JSON")
  }
}

function errorOf(value: unknown): { code?: string; message?: string } {
  const error = typeof value === "object" && value !== null && "error" in value ? value.error : undefined
  if (typeof error !== "object" || error === null) return {}
  return {
    ...("code" in error && typeof error.code === "string" ? { code: briefCode(error.code) } : {}),
    ...("message" in error && typeof error.message === "string" ? { message: briefMessage(error.message) } : {}),
  }
}
