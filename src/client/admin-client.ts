/** A client of the admin API: JSON in, JSON out, the token in a header. Failures like those of the S3 client. */
import { HttpCaller } from "./http-caller.js"
import { BrokenAnswer, RemoteFailure } from "./remote.js"
import type { Trust } from "./trust.js"

export interface AdminAccess {
  readonly endpoint: string
  readonly token: string
  readonly trust?: Trust
}

type Query = Readonly<Record<string, string | undefined>>

export class AdminClient {
  readonly #caller: HttpCaller
  readonly #host: string

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
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
    const text = new URLSearchParams(given).toString().replaceAll("+", "%20")
    return this.#call("GET", text === "" ? path : `${path}?${text}`, undefined)
  }

  /** A document that is not JSON, such as the metrics. */
  async text(path: string): Promise<string> {
    const { status, text, requestId } = await this.#send("GET", path, undefined)
    if (status < 300) return text
    throw new RemoteFailure(status, `http-${status}`, `status ${status}`, requestId)
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.#call("POST", path, Buffer.from(JSON.stringify(body)))
  }

  async remove(path: string): Promise<void> {
    await this.#call("DELETE", path, undefined)
  }

  async #call(method: string, rawTarget: string, body: Buffer | undefined): Promise<unknown> {
    const { status, text, requestId } = await this.#send(method, rawTarget, body)
    const value = text === "" ? undefined : parseAnswer(text)
    if (status < 300) return value
    const { code, message } = errorOf(value)
    throw new RemoteFailure(status, code ?? `http-${status}`, message ?? `status ${status}`, requestId)
  }

  async #send(method: string, rawTarget: string, body: Buffer | undefined) {
    const rawHeaders = ["host", this.#host, "authorization", `Bearer ${this.access.token}`]
    if (body !== undefined) rawHeaders.push("content-type", "application/json", "content-length", String(body.length))
    const answer = await this.#caller.call({ method, rawTarget, rawHeaders, body, signal: this.signal })
    const text = (await answer.document()).toString("utf8")
    const requestId = String(answer.headers["x-request-id"] ?? "") || undefined
    return { status: answer.status, text, requestId }
  }
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
    ...("code" in error && typeof error.code === "string" ? { code: error.code } : {}),
    ...("message" in error && typeof error.message === "string" ? { message: error.message } : {}),
  }
}
