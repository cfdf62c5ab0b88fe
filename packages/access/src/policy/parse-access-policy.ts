/**
 * Parses access policies. Throws `malformedPolicy` with `message`, in AWS's wording where it exists, and `where`, a
 * path into the document.
 *
 * Refuses  Duplicate members, elements that AWS does not have, values of a wrong type or form, and operators that do
 *          not exist: all of these would be stored and never match. Also empty lists, which mean nothing.
 */
import { ruleOf } from "./compile.js"
import type { AccessPolicy, AccessPolicyKind, PolicyLanguageVersion, PolicyStatement } from "./contract.js"
import { POLICY_LIMITS, policyCharacters } from "./limits.js"
import { parseConditions } from "./parse-conditions.js"
import { parseActions, parsePrincipals, parseResources, type StatementPlace } from "./parse-elements.js"
import { readJsonObject } from "./read-json.js"
import { malformedPolicy, pathOfMember, messagesOf } from "./messages.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

export const DOCUMENT_ELEMENTS = new Set(["Version", "Id", "Statement"])
export const STATEMENT_ELEMENTS = new Set(
  "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split(" "),
)

function refuseUnknown(value: JsonObject, known: ReadonlySet<string>, where: string): void {
  for (const name of Object.keys(value)) {
    if (!known.has(name)) throw malformedPolicy(`Unknown field ${name}`, pathOfMember(where, name))
  }
}

export function parseVersion(value: unknown): PolicyLanguageVersion {
  if (value === undefined) return "2008-10-17"
  if (value === "2008-10-17" || value === "2012-10-17") return value
  throw malformedPolicy("The policy must contain a valid version string", "$.Version")
}

export function parseSid(value: unknown, { kind, where }: StatementPlace): string | undefined {
  if (value === undefined || value === "") return undefined
  const isValid = typeof value === "string" && (kind === "resource" || kind === "key" || /^[0-9A-Za-z]*$/.test(value))
  if (!isValid) throw malformedPolicy("Statement IDs (SID) must be alpha-numeric.", pathOfMember(where, "Sid"))
  return value
}

export function parseEffect(value: unknown, { where }: StatementPlace): PolicyStatement["effect"] {
  if (value === "Allow" || value === "Deny") return value
  if (value === undefined) throw malformedPolicy("Missing required field Effect", where)
  throw malformedPolicy(
    `Invalid effect: ${typeof value === "string" ? value : JSON.stringify(value)}`,
    pathOfMember(where, "Effect"),
  )
}

function parseStatement(value: unknown, index: number, place: StatementPlace): PolicyStatement {
  if (!isJsonObject(value)) throw malformedPolicy("Each statement must be an object", place.where)
  refuseUnknown(value, STATEMENT_ELEMENTS, place.where)
  const effect = parseEffect(value["Effect"], place)
  return {
    index,
    sid: parseSid(value["Sid"], place),
    effect,
    principals: parsePrincipals(value, effect, place),
    actions: parseActions(value, place),
    resources: parseResources(value, place),
    conditions: parseConditions(value["Condition"], { ...place, where: pathOfMember(place.where, "Condition") }),
  }
}

function parseStatements(
  value: unknown,
  kind: AccessPolicyKind,
  version: PolicyLanguageVersion,
): readonly PolicyStatement[] {
  const isList = Array.isArray(value)
  const items: readonly unknown[] = isList ? value : [value]
  if (value === undefined) throw malformedPolicy(messagesOf(kind).statement, "$")
  if (items.length === 0) throw malformedPolicy("Could not parse the policy: Statement is empty!", "$.Statement")
  const sids = new Set<string>()
  return items.map((item, index) => {
    const where = isList ? `$.Statement[${index}]` : "$.Statement"
    const statement = parseStatement(item, index, { kind, version, where })
    if (statement.sid !== undefined && sids.has(statement.sid)) {
      throw malformedPolicy("Statement IDs (SID) in a single policy must be unique.", pathOfMember(where, "Sid"))
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
  if (text.length > textCharactersMax)
    throw malformedPolicy(`The policy is longer than ${textCharactersMax} characters`, "$")
  if (kind === "resource" || kind === "key") {
    const bytesMax = kind === "key" ? keyBytesMax : bucketBytesMax
    if (Buffer.byteLength(text) > bytesMax) throw malformedPolicy(`The policy is larger than ${bytesMax} bytes`, "$")
  } else if (policyCharacters(text) > SIZE_MAX[kind]) {
    throw malformedPolicy(`The policy is longer than ${SIZE_MAX[kind]} characters`, "$")
  }
}

export function parseAccessPolicy(text: string, kind: AccessPolicyKind): AccessPolicy {
  refuseLarge(text, kind)
  const { json, noObject } = messagesOf(kind)
  const document = readJsonObject(text, text.trimStart().startsWith("{") ? json : noObject)
  refuseUnknown(document, DOCUMENT_ELEMENTS, "$")
  const version = parseVersion(document["Version"])
  const id = document["Id"]
  if (id !== undefined && typeof id !== "string") throw malformedPolicy("The Id of a policy must be a string", "$.Id")
  const statements = parseStatements(document["Statement"], kind, version)
  return { kind, version, id, statements, rules: statements.map(statement => ruleOf(statement, version)) }
}
