/**
 * What the audit log says of a request: its body and its answer, without secrets. Pure.
 *
 * A member is hidden by its name. A test makes a secret of each kind by the API and looks for it in the log.
 */

/** Secrets of keys and tokens, and addresses of databases and key services, which may contain a password. */
const HIDDEN = /secret|password|^token$|url$|document$/i
const HIDDEN_TEXT = "(hidden)"

function shown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      typeof member === "string" && HIDDEN.test(name) ? HIDDEN_TEXT : shown(member),
    ]),
  )
}

/** As JSON; undefined stays so, and an empty object is nothing. */
export function auditText(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const text = JSON.stringify(shown(value))
  return text === "{}" ? undefined : text
}
