/** Replies of the admin port: the headers common to all, and JSON errors. */
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { HealthReport } from "@hayloft/node/index.js"
import { errorReplyOf, type CallerState } from "@hayloft/protocols/signed/index.js"

export interface AdminReply {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Instead of the body: its pieces, as they come. */
  readonly stream?: AsyncIterable<Uint8Array>
  /** Values of `Set-Cookie`. */
  readonly cookies?: readonly string[]
  /** The operation's name, for logs and metrics. */
  readonly operation: string
  /** The failure, for the log. */
  readonly failure?: Failure
}

export function reply(
  operation: string,
  type: string | Readonly<Record<string, string>>,
  body: string | Uint8Array,
): AdminReply {
  const headers = typeof type === "string" ? { "content-type": type } : type
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body
  return {
    status: 200,
    headers: { ...headers, "cache-control": "no-store", "x-content-type-options": "nosniff" },
    body: bytes,
    operation,
  }
}

/** Sends a browser to another address of this port. */
export const seeOther = (operation: string, location: string): AdminReply => ({
  ...reply(operation, { "content-type": "text/plain; charset=utf-8", location }, `see ${location}\n`),
  status: 303,
})

export const withCookies = (answer: AdminReply, ...lines: readonly (string | undefined)[]): AdminReply => ({
  ...answer,
  cookies: lines.filter(line => line !== undefined),
})

/** A store that is full is ready: it serves reads and deletes, and balancers must not take it away. */
export function healthReply(operation: string, { ready, reasons, refusesWrites = false }: HealthReport): AdminReply {
  const status = ready ? (refusesWrites ? "full" : "ok") : "notReady"
  const text = `${JSON.stringify({ status, reasons })}\n`
  return { ...reply(operation, "application/json", text), status: ready ? 200 : 503 }
}

export function streamReply(operation: string, stream: AsyncIterable<Uint8Array>): AdminReply {
  // Proxies of the nginx kind would collect lines until a buffer is full.
  const headers = { "content-type": "application/x-ndjson", "x-accel-buffering": "no" }
  return { ...reply(operation, headers, ""), stream }
}

const jsonError = (code: string, message: string): string => `${JSON.stringify({ error: { code, message } })}\n`
export function notFound(path: string): AdminReply {
  const message = `nothing is at ${path.slice(0, 200)}; see /openapi.json and /docs/ for what exists`
  return { ...reply("unknown", "application/json", jsonError("notFound", message)), status: 404 }
}

/** For a Host that does not name this machine, which a page of another site may have chosen. */
export function misdirected(host: string): AdminReply {
  const message = `this port has no name ${host.slice(0, 200)}; use its address or localhost, name it with hayloft serve --admin-host NAME, or send the admin token`
  return { ...reply("refused", "application/json", jsonError("misdirected", message)), status: 421 }
}

export function errorReply(error: unknown, caller: CallerState): AdminReply {
  const { status, code, message } = errorReplyOf(error, caller)
  const base = reply("refused", "application/json", jsonError(code, message))
  const failure = asFailure(error)
  const { retryAfterSeconds } = failure.details
  const headers = {
    ...base.headers,
    ...(status === 401 && { "www-authenticate": "Bearer" }),
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
  }
  return { ...base, status, headers, failure }
}
