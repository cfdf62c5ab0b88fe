/**
 * Parses access policies. Throws `malformedPolicy` with `message`, in AWS's wording where it exists, and `where`, a
 * path into the document.
 *
 * Refuses  Duplicate members, elements that AWS does not have, values of a wrong type or form, and operators that do
 *          not exist: all of these would be stored and never match. Also empty lists, which mean nothing.
 */
import { ruleOf } from "./compile.js"
import type { AccessPolicy, AccessPolicyKind, PolicyVersion, Statement } from "./contract.js"
import { POLICY_LIMITS, policyCharacters } from "./limits.js"
import { parseConditions } from "./parse-conditions.js"
import { parseActions, parsePrincipals, parseResources, type StatementPlace } from "./parse-elements.js"
import { isObject, readJsonObject, type JsonObject } from "./read-json.js"
import { malformed, memberOf, messagesOf } from "./messages.js"

export const DOCUMENT_ELEMENTS = new Set(["Version", "Id", "Statement"])
export const STATEMENT_ELEMENTS = new Set(
  "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split(" "),
)

function refuseUnknown(value: JsonObject, known: ReadonlySet<string>, where: string): void {
  for (const name of Object.keys(value)) {
    if (!known.has(name)) throw malformed(`Unknown field ${name}`, memberOf(where, name))
  }
}

export function parseVersion(value: unknown): PolicyVersion {
  if (value === undefined) return "2008-10-17"
  if (value === "2008-10-17" || value === "2012-10-17") return value
  throw malformed("The policy must contain a valid version string", "$.Version")
}

export function parseSid(value: unknown, { kind, where }: StatementPlace): string | undefined {
  if (value === undefined || value === "") return undefined
  const isValid = typeof value === "string" && (kind === "resource" || kind === "key" || /^[0-9A-Za-z]*$/.test(value))
  if (!isValid) throw malformed("Statement IDs (SID) must be alpha-numeric.", memberOf(where, "Sid"))
  return value
}

export function parseEffect(value: unknown, { where }: StatementPlace): Statement["effect"] {
  if (value === "Allow" || value === "Deny") return value
  if (value === undefined) throw malformed("Missing required field Effect", where)
  throw malformed(
    `Invalid effect: ${typeof value === "string" ? value : JSON.stringify(value)}`,
    memberOf(where, "Effect"),
  )
}

function parseStatement(value: unknown, index: number, place: StatementPlace): Statement {
  if (!isObject(value)) throw malformed("Each statement must be an object", place.where)
  refuseUnknown(value, STATEMENT_ELEMENTS, place.where)
  const effect = parseEffect(value["Effect"], place)
  return {
    index,
    sid: parseSid(value["Sid"], place),
    effect,
    principals: parsePrincipals(value, effect, place),
    actions: parseActions(value, place),
    resources: parseResources(value, place),
    conditions: parseConditions(value["Condition"], { ...place, where: memberOf(place.where, "Condition") }),
  }
}

function parseStatements(value: unknown, kind: AccessPolicyKind, version: PolicyVersion): readonly Statement[] {
  const isList = Array.isArray(value)
  const items: readonly unknown[] = isList ? value : [value]
  if (value === undefined) throw malformed(messagesOf(kind).statement, "$")
  if (items.length === 0) throw malformed("Could not parse the policy: Statement is empty!", "$.Statement")
  const sids = new Set<string>()
  return items.map((item, index) => {
    const where = isList ? `$.Statement[${index}]` : "$.Statement"
    const statement = parseStatement(item, index, { kind, version, where })
    if (statement.sid !== undefined && sids.has(statement.sid)) {
      throw malformed("Statement IDs (SID) in a single policy must be unique.", memberOf(where, "Sid"))
    }
    if (statement.sid !== undefined) sids.add(statement.sid)
    return statement
  })
}

const SIZE_MAX = {
  identity: POLICY_LIMITS.roleInlineCharactersMax,
  trust: POLICY_LIMITS.trustCharactersMax,
} as const

/** The limit for any document of its kind; a lower limit may apply to the principal it is attached to. */
function refuseLarge(text: string, kind: AccessPolicyKind): void {
  const { textCharactersMax, bucketBytesMax, keyBytesMax } = POLICY_LIMITS
  if (text.length > textCharactersMax) throw malformed(`The policy is longer than ${textCharactersMax} characters`, "$")
  if (kind === "resource" || kind === "key") {
    const bytesMax = kind === "key" ? keyBytesMax : bucketBytesMax
    if (Buffer.byteLength(text) > bytesMax) throw malformed(`The policy is larger than ${bytesMax} bytes`, "$")
  } else if (policyCharacters(text) > SIZE_MAX[kind]) {
    throw malformed(`The policy is longer than ${SIZE_MAX[kind]} characters`, "$")
  }
}

export function parseAccessPolicy(text: string, kind: AccessPolicyKind): AccessPolicy {
  refuseLarge(text, kind)
  const document = readJsonObject(text, messagesOf(kind).json)
  refuseUnknown(document, DOCUMENT_ELEMENTS, "$")
  const version = parseVersion(document["Version"])
  const id = document["Id"]
  if (id !== undefined && typeof id !== "string") throw malformed("The Id of a policy must be a string", "$.Id")
  const statements = parseStatements(document["Statement"], kind, version)
  return { kind, version, id, statements, rules: statements.map(statement => ruleOf(statement, version)) }
}
