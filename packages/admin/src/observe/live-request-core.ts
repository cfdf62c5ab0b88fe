/**
 * A finished request as watchers see it, and which of them they want to see. Pure.
 *
 * Promises  Contains no header but the user agent, and no query: those may hold signatures. A reason has no signature either.
 * Limits    Texts that a client chooses are cut at `TEXT_CHARACTERS_MAX`, keys at `KEY_CHARACTERS_MAX`.
 */
import { Failure, sentenceOf } from "@hayloft/base/failures.js"
import type { LiveRequest, RequestFilter } from "@hayloft/engine/format/nodes/live-report.js"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"

const TEXT_CHARACTERS_MAX = 256
/** The longest key that the store accepts. */
const KEY_CHARACTERS_MAX = 1_024
const ERROR_STATUS_MIN = 400

const cut = (text: string): string =>
  text.length <= TEXT_CHARACTERS_MAX ? text : `${text.slice(0, TEXT_CHARACTERS_MAX)}…`

const textNote = (value: unknown): string | undefined => (typeof value === "string" ? cut(value) : undefined)

/** Details for the client itself. A signature that a proxy spoils, by another host name, is valid without the proxy. */
const OF_SIGNATURES: ReadonlySet<string> = new Set(["signatureProvided", "stringToSign", "canonicalRequest"])

function reasonOf({ kind, details }: Failure): string {
  const shown = Object.entries(details).filter(([name]) => !OF_SIGNATURES.has(name))
  return sentenceOf(new Failure(kind, Object.fromEntries(shown)))
}

export function liveRequestOf(server: string, atMs: number, request: FinishedRequest): LiveRequest {
  const { subject, notes, status = 0 } = request
  const optional = {
    bucket: subject?.bucketName?.slice(0, TEXT_CHARACTERS_MAX) ?? textNote(notes["bucket"]),
    key: subject?.keyText?.slice(0, KEY_CHARACTERS_MAX),
    code: textNote(notes["failure"]),
    reason: textNote(notes["reason"]) ?? (subject?.failure && cut(reasonOf(subject.failure))),
    account: subject?.accountId,
    accessKeyId: textNote(notes["accessKeyId"]),
    userAgent: textNote(request.header("user-agent")),
  }
  return {
    atMs,
    server,
    requestId: request.requestId,
    method: request.method.slice(0, 32),
    operation: textNote(notes["operation"]) ?? "none",
    path: cut(request.rawTarget.split("?", 1)[0] ?? ""),
    status,
    receivedBytes: request.receivedBytes,
    sentBytes: request.sentBytes,
    remoteAddress: request.remoteAddress,
    totalMs: 0,
    ...request.timing.fields(),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    ...(request.clientGone && { clientGone: true }),
  }
}

export function passes(filter: RequestFilter, request: LiveRequest): boolean {
  const { server, operation, bucket, prefix, status, minMs, account, address, errorsOnly } = filter
  if (server !== undefined && request.server !== server) return false
  if (operation !== undefined && request.operation.toLowerCase() !== operation.toLowerCase()) return false
  if (bucket !== undefined && request.bucket !== bucket) return false
  if (prefix !== undefined && request.key?.startsWith(prefix) !== true) return false
  if (status !== undefined && !String(request.status).startsWith(status)) return false
  if (minMs !== undefined && request.totalMs < minMs) return false
  if (account !== undefined && request.account !== account && request.accessKeyId !== account) return false
  if (address !== undefined && request.remoteAddress !== address) return false
  return errorsOnly !== true || request.status === 0 || request.status >= ERROR_STATUS_MIN
}
