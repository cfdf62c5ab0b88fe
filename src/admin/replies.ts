/** Replies of the admin port: the headers common to all, and JSON errors. */
import { asFailure, type Failure } from "../base/failures.js"
import type { HealthReport } from "../node/index.js"
import { errorReplyOf } from "./failures.js"

export interface AdminReply {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
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

export function healthReply(operation: string, { ready, reasons }: HealthReport): AdminReply {
  const text = `${JSON.stringify({ status: ready ? "ok" : "notReady", reasons })}\n`
  return { ...reply(operation, "application/json", text), status: ready ? 200 : 503 }
}

const jsonError = (code: string, message: string): string => `${JSON.stringify({ error: { code, message } })}\n`
export function notFound(path: string): AdminReply {
  const message = `nothing is at ${path.slice(0, 200)}; see /openapi.json and /docs/ for what exists`
  return { ...reply("unknown", "application/json", jsonError("notFound", message)), status: 404 }
}

/** For a Host that does not name this machine, which a page of another site may have chosen. */
export function misdirected(host: string): AdminReply {
  const message = `this port accepts only loopback Host names, not ${host.slice(0, 200)}; use localhost, or send the admin token`
  return { ...reply("refused", "application/json", jsonError("misdirected", message)), status: 421 }
}

export function errorReply(error: unknown): AdminReply {
  const { status, code, message } = errorReplyOf(error)
  const base = reply("refused", "application/json", jsonError(code, message))
  const headers = { ...base.headers, ...(status === 401 ? { "www-authenticate": "Bearer" } : {}) }
  return { ...base, status, headers, failure: asFailure(error) }
}
