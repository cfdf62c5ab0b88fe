/**
 * Parses elements of statements: principals, actions, resources. Each throws `malformedPolicy`.
 *
 * AWS elements that this store does not implement are accepted where they only name something else: services as
 * principals, and actions and resources of other services in identity policies. Everything else must be valid.
 */
import type {
  AccessPolicyKind,
  Effect,
  Patterns,
  PolicyLanguageVersion,
  Principals,
  PrincipalType,
} from "./contract.js"
import { hasVariablesIn } from "./conditions.js"
import { hasVariables, hasWildcards, literalOf, splitArn, patternOf } from "./pattern.js"
import { INVALID_PRINCIPAL, malformedPolicy, pathOfMember, messagesOf } from "./messages.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

export interface StatementPlace {
  readonly kind: AccessPolicyKind
  readonly version: PolicyLanguageVersion
  readonly where: string
}

/** A text or a list of texts, each with its path. */
function textsOf(value: unknown, where: string, message: string): readonly (readonly [text: string, where: string])[] {
  if (typeof value === "string") return [[value, where]]
  if (!Array.isArray(value) || value.length === 0) throw malformedPolicy(message, where)
  return value.map((item: unknown, index) => {
    if (typeof item !== "string") throw malformedPolicy(message, `${where}[${index}]`)
    return [item, `${where}[${index}]`]
  })
}

/** An element or its opposite, never both. */
function oneOf(statement: JsonObject, name: string, where: string): { name: string; negated: boolean } | undefined {
  const [is, isNot] = [Object.hasOwn(statement, name), Object.hasOwn(statement, `Not${name}`)]
  if (is && isNot)
    throw malformedPolicy(`A statement has ${name} or Not${name}, not both`, pathOfMember(where, `Not${name}`))
  if (!is && !isNot) return undefined
  return { name: is ? name : `Not${name}`, negated: isNot }
}

const AWS_PRINCIPAL =
  /^(?:\*|\d{12}|arn:aws:iam::\d{12}:(?:root|(?:user|role)\/[\w+=,.@/-]+)|arn:aws:sts::\d{12}:(?:assumed-role\/[\w+=,.@-]+|federated-user)\/[\w+=,.@-]+|AIDA[A-Z0-9]{12,124}|AROA[A-Z0-9]{12,124}(?::[\w+=,.@-]+)?)$/
const HOST = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/
const PROVIDER = /^arn:aws:iam::\d{12}:(?:oidc|saml)-provider\/\S+$/

const PRINCIPAL_VALUES: ReadonlyMap<string, { type: PrincipalType; isValid: (value: string) => boolean }> = new Map([
  ["AWS", { type: "AWS", isValid: value => AWS_PRINCIPAL.test(value) }],
  ["Service", { type: "Service", isValid: value => HOST.test(value) }],
  ["Federated", { type: "Federated", isValid: value => PROVIDER.test(value) || HOST.test(value) }],
  ["CanonicalUser", { type: "CanonicalUser", isValid: value => /^[0-9A-Za-z._@-]{1,64}$/.test(value) }],
])

function namedPrincipals(value: unknown, where: string): Principals["named"] {
  if (value === "*") return [{ type: "AWS", value }]
  if (!isJsonObject(value) || Object.keys(value).length === 0) throw malformedPolicy(INVALID_PRINCIPAL, where)
  return Object.entries(value).flatMap(([name, texts]) => {
    const known = PRINCIPAL_VALUES.get(name)
    if (known === undefined) throw malformedPolicy(INVALID_PRINCIPAL, pathOfMember(where, name))
    return textsOf(texts, pathOfMember(where, name), INVALID_PRINCIPAL).map(([text, place]) => {
      if (!known.isValid(text)) throw malformedPolicy(INVALID_PRINCIPAL, place)
      return { type: known.type, value: text }
    })
  })
}

export function parsePrincipals(statement: JsonObject, effect: Effect, place: StatementPlace): Principals | undefined {
  const { kind, where } = place
  const found = oneOf(statement, "Principal", where)
  if (kind === "identity") {
    if (found === undefined) return undefined
    throw malformedPolicy("Policy document should not specify a principal.", pathOfMember(where, found.name))
  }
  if (found === undefined) throw malformedPolicy(messagesOf(kind).principal, where)
  const { name, negated } = found
  if (negated && kind === "trust") throw malformedPolicy("Has prohibited field NotPrincipal", pathOfMember(where, name))
  if (negated && effect === "Allow")
    throw malformedPolicy("Allow with NotPrincipal is not allowed.", pathOfMember(where, name))
  return { negated, named: namedPrincipals(statement[name], pathOfMember(where, name)) }
}

const ACTION = /^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/

export function parseActions(statement: JsonObject, { kind, where }: StatementPlace): Patterns {
  const messages = messagesOf(kind)
  const found = oneOf(statement, "Action", where)
  if (found === undefined) throw malformedPolicy(messages.actions, where)
  const place = pathOfMember(where, found.name)
  const patterns = textsOf(statement[found.name], place, messages.actions).map(([text, at]) => {
    if (text !== "*" && !ACTION.test(text)) throw malformedPolicy(`${messages.invalidAction}: ${text}`, at)
    if (kind === "trust" && !/^sts:/i.test(text)) {
      throw malformedPolicy("AssumeRole policy may only specify STS AssumeRole actions.", at)
    }
    if (kind === "key" && text !== "*" && !/^kms:/i.test(text))
      throw malformedPolicy("The action is not one of KMS.", at)
    return text
  })
  return { negated: found.negated, patterns }
}

/** `arn`, partition, service, region, account and the rest; only the rest may contain variables. */
function isResource(text: string, version: PolicyLanguageVersion): boolean {
  if (text === "*") return true
  const pattern = patternOf(text, { variables: hasVariablesIn(version), wildcards: true })
  const [scheme, partition, service, ...others] = (pattern && splitArn(pattern)) ?? []
  if (scheme === undefined || partition === undefined || service === undefined) return false
  if (
    hasWildcards(scheme) ||
    literalOf(scheme) !== "arn" ||
    partition.length === 0 ||
    service.length === 0 ||
    hasWildcards(service)
  )
    return false
  return ![scheme, partition, service, ...others.slice(0, 2)].some(hasVariables) && others[2]?.length !== 0
}

export function parseResources(statement: JsonObject, { kind, version, where }: StatementPlace): Patterns | undefined {
  const messages = messagesOf(kind)
  const found = oneOf(statement, "Resource", where)
  if (kind === "trust") {
    if (found === undefined) return undefined
    throw malformedPolicy(`Has prohibited field ${found.name}`, pathOfMember(where, found.name))
  }
  if (found === undefined) throw malformedPolicy(messages.resources, where)
  const place = pathOfMember(where, found.name)
  const patterns = textsOf(statement[found.name], place, messages.resources).map(([text, at]) => {
    if (isResource(text, version)) return text
    const message =
      kind === "resource" ? "Policy has invalid resource" : `Resource ${text} must be in ARN format or "*".`
    throw malformedPolicy(message, at)
  })
  return { negated: found.negated, patterns }
}
