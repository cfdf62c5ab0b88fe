/**
 * The audit log's account of a change: requests, states and answers as JSON, without secrets. Pure.
 *
 * A member is hidden by its name. A test makes a secret of each kind by each API and looks for it in the log.
 */
import type { AuditCaller } from "@hayloft/engine/format/accounts/audit-record.js"
import type { Principal } from "../principals/principal.js"

/** Secrets of keys, and tokens of identity providers. */
const HIDDEN = /secret|password|^token$|webidentitytoken/i
const HIDDEN_TEXT = "(hidden)"

function shown(value: unknown, hidden: RegExp): unknown {
  if (Array.isArray(value)) return value.map(each => shown(each, hidden))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      typeof member === "string" && hidden.test(name) ? HIDDEN_TEXT : shown(member, hidden),
    ]),
  )
}

/** Returns the value as JSON with secrets hidden; undefined stays undefined, and an empty object becomes undefined. */
export function auditText(value: unknown, hidden = HIDDEN): string | undefined {
  if (value === undefined) return undefined
  const text = JSON.stringify(shown(value, hidden))
  return text === "{}" ? undefined : text
}

/** The caller of a request to S3, IAM or KMS: the key that signed it, and the principal that it acts as. */
export function auditCallerOf(principal: Principal, accessKeyId: string | undefined, address: string): AuditCaller {
  if (principal.kind === "anonymous") return { kind: "anonymous", id: "", name: "", address }
  const name = principal.kind === "session" ? principal.sessionArn : principal.arn
  return { kind: "key", id: accessKeyId ?? "", name, address }
}
