/**
 * The policy of a form: a signed document that limits until when, and with which fields and size, a form
 * may be sent. Pure.
 *
 * Promises  A condition must cover every field except those of the signature, or the form
 *           is refused; so is a form without a field that a condition names. Names and operators are compared
 *           ignoring case, values exactly.
 * Refuses   `invalidFormPolicy` for an invalid document; `accessDenied` for a form that violates it.
 * Source    "POST Policy", Amazon S3 Developer Guide. Messages are those that S3 is known to give.
 */
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { byteStringOfText, textOfObjectKey } from "@hayloft/base/ids.js"

type FormCondition =
  | { readonly kind: "equals" | "startsWith"; readonly field: string; readonly value: string; readonly shown: string }
  /** Bytes of the file, both bounds included. */
  | { readonly kind: "size"; readonly min: number; readonly max: number }
  /** Well formed, but never true: S3 treats it as a condition that fails. */
  | { readonly kind: "never"; readonly shown: string }

interface FormPolicy {
  readonly expiresMs: number
  readonly conditions: readonly FormCondition[]
}

/** Allowed size of the file. */
export interface SizeRange {
  readonly min: number
  readonly max: number
}

const invalid = (message: string): Failure => fail("invalidFormPolicy", { message: `Invalid Policy: ${message}` })
const INVALID_JSON = "Invalid JSON."

/** Throws `invalidFormPolicy`. */
export function parseFormPolicy(base64: string): FormPolicy {
  const document = parseJson(textOfBase64(base64))
  if (typeof document !== "object" || document === null || Array.isArray(document)) throw invalid(INVALID_JSON)
  const members = new Map<string, unknown>(Object.entries(document))
  for (const name of members.keys()) {
    if (name !== "expiration" && name !== "conditions") throw invalid(`Unexpected: '${name.slice(0, 80)}'`)
  }
  if (!members.has("expiration")) throw invalid("Policy missing expiration.")
  if (!members.has("conditions")) throw invalid("Policy missing conditions.")
  const conditions = members.get("conditions")
  if (!Array.isArray(conditions)) throw invalid("Invalid 'conditions' value: must be a List.")
  return { expiresMs: parseExpiration(members.get("expiration")), conditions: conditions.map(parseCondition) }
}

function textOfBase64(base64: string): string {
  const plain = base64.replace(/[\r\n]/g, "")
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) throw invalid("invalid Base64 encoding.")
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(plain, "base64"))
  } catch {
    throw invalid(INVALID_JSON)
  }
}

/** JSON plus the escape `\$`, which Amazon's documents use. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/\\(\\|\$)/g, (escape, character) => (character === "$" ? "$" : escape)))
  } catch {
    throw invalid(INVALID_JSON)
  }
}

const EXPIRATION = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/

function parseExpiration(value: unknown): number {
  const expiresMs = typeof value === "string" && EXPIRATION.test(value) ? parseIsoDate(value) : undefined
  if (expiresMs === undefined) throw invalid(`Invalid 'expiration' value: '${String(value).slice(0, 80)}'`)
  return expiresMs
}

function parseCondition(condition: unknown): FormCondition {
  if (Array.isArray(condition)) return parseOperation(condition)
  if (typeof condition !== "object" || condition === null) {
    throw invalid("Invalid condition test: must be a List or Object.")
  }
  const members: readonly (readonly [string, unknown])[] = Object.entries(condition)
  const [only, second] = members
  if (only === undefined || second !== undefined) {
    throw invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
  }
  const [name, value] = only
  if (typeof value !== "string") throw invalid("Invalid Simple-Condition: value must be a string.")
  return parseOperation(["eq", `$${name}`, value])
}

const OPERATORS = { eq: "equals", "starts-with": "startsWith" } as const
const shownOf = (items: readonly unknown[]): string => `[${items.map(item => JSON.stringify(item)).join(", ")}]`

function parseOperation(items: readonly unknown[]): FormCondition {
  const [first, second, third] = items
  if (typeof first !== "string") throw invalid("Invalid Condition: missing operation identifier.")
  const operator = first.toLowerCase()
  const isRange = operator === "content-length-range"
  if (!isRange && operator !== "eq" && operator !== "starts-with") {
    throw invalid(`Invalid Condition: unknown operation '${first.slice(0, 80)}'.`)
  }
  if (items.length !== 3) throw invalid(`Invalid ${operator}: wrong number of arguments.`)
  const shown = shownOf([operator, second, third])
  if (isRange) return sizeCondition(second, third, shown)
  if (typeof second !== "string" || typeof third !== "string") throw invalid(INVALID_JSON)
  if (!second.startsWith("$")) return { kind: "never", shown }
  // Fields are byte strings: text in the policy is compared by its bytes.
  const field = byteStringOfText(second.slice(1).toLowerCase())
  return { kind: OPERATORS[operator], field, value: byteStringOfText(third), shown }
}

function sizeCondition(first: unknown, second: unknown, shown: string): FormCondition {
  const [min, max] = [first, second].map(value => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
    if (typeof value !== "string") throw invalid(INVALID_JSON)
    return /^\d{1,15}$/.test(value) ? Number(value) : undefined
  })
  return min === undefined || max === undefined ? { kind: "never", shown } : { kind: "size", min, max }
}

/** Fields that no condition needs to cover. */
const UNCOVERED = ["file", "policy", "x-amz-signature", "awsaccesskeyid", "signature"]
const IGNORED = "x-ignore-"

/**
 * Throws `accessDenied` unless the policy allows a form with these fields now. `fields` holds the addressed
 * bucket as `bucket`; names are in lower case.
 */
export function checkFormPolicy(policy: FormPolicy, fields: ReadonlyMap<string, string>, nowMs: number): void {
  if (nowMs > policy.expiresMs) throw broken("Policy expired.")
  const covered = new Set(UNCOVERED)
  for (const condition of policy.conditions) {
    if (condition.kind === "size") continue
    if (condition.kind === "never" || !holds(condition, fields.get(condition.field))) {
      throw broken(`Policy Condition failed: ${condition.shown}`)
    }
    covered.add(condition.field)
  }
  const extra = [...fields.keys()].filter(name => !covered.has(name) && !name.startsWith(IGNORED))
  if (extra.length > 0) throw broken(`Extra input fields: ${textOfObjectKey(extra.join(", "))}`)
}

const broken = (message: string): Failure =>
  fail("accessDenied", { message: `Invalid according to Policy: ${message.slice(0, 500)}` })

/** For a form that names another bucket than it is sent to; every policy must cover the bucket. */
export const otherBucket = (bucket: string): Failure =>
  broken(`Policy Condition failed: ${shownOf(["eq", "$bucket", textOfObjectKey(bucket)])}`)

type FieldCondition = Extract<FormCondition, { readonly field: string }>

function holds({ kind, field, value }: FieldCondition, found: string | undefined): boolean {
  if (found === undefined) return false
  if (kind === "equals") return found === value
  // Only this field is a list if it contains commas.
  const parts = field === "content-type" ? found.split(",").map(part => part.trim()) : [found]
  return parts.every(part => part.startsWith(value))
}

/** The intersection of all size conditions. */
export function sizeRangeOf({ conditions }: FormPolicy): SizeRange {
  const ranges = conditions.filter(condition => condition.kind === "size")
  return {
    min: Math.max(0, ...ranges.map(({ min }) => min)),
    max: Math.min(Number.MAX_SAFE_INTEGER, ...ranges.map(({ max }) => max)),
  }
}
