/**
 * The oracle of the policy engine: an independent, slow implementation of AWS's documented rules, on sets.
 *
 * A policy's statements are sets of requests; the decision combines them by union, intersection and difference. The
 * oracle reads documents as plain objects, shares no code with the engine, and assumes that documents are valid.
 * Wildcards are regular expressions, addresses large integers, condition keys a record.
 */
import { unreachable } from "@hayloft/base/assert.js"

export type Text = string | readonly string[]

export interface PlainStatement {
  readonly Sid?: string
  readonly Effect: "Allow" | "Deny"
  readonly Principal?: "*" | Readonly<Record<string, Text>>
  readonly NotPrincipal?: "*" | Readonly<Record<string, Text>>
  readonly Action?: Text
  readonly NotAction?: Text
  readonly Resource?: Text
  readonly NotResource?: Text
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, Text>>>>
}

export interface PlainPolicy {
  readonly Version: "2008-10-17" | "2012-10-17"
  readonly Statement: readonly PlainStatement[]
}

export interface PlainRequest {
  readonly kind: "anonymous" | "federated" | "root" | "user" | "session"
  readonly account: string
  readonly canonicalId: string
  /** For a session, the role's. */
  readonly arn: string
  readonly sessionArn: string
  readonly userId: string
  readonly provider: string
  readonly ownerAccount: string
  readonly action: string
  readonly resource: string
  /** All condition keys, those of the principal too, in lower case except for the part after a tag's slash. */
  readonly keys: Readonly<Record<string, readonly string[]>>
}

export interface PlainWorld {
  readonly identity: readonly PlainPolicy[]
  readonly boundary: PlainPolicy | undefined
  readonly session: readonly PlainPolicy[] | undefined
  readonly resource: PlainPolicy | undefined
  readonly isTrust: boolean
  readonly acl: "account" | "role" | "caller" | undefined
}

type SetOfRequests = (request: PlainRequest) => boolean

const nothing: SetOfRequests = () => false
const union =
  (sets: readonly SetOfRequests[]): SetOfRequests =>
  request =>
    sets.some(has => has(request))
const intersection =
  (sets: readonly SetOfRequests[]): SetOfRequests =>
  request =>
    sets.every(has => has(request))
const complement =
  (set: SetOfRequests): SetOfRequests =>
  request =>
    !set(request)

const list = (text: Text | undefined): readonly string[] =>
  text === undefined ? [] : typeof text === "string" ? [text] : text

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const like = (pattern: string): RegExp =>
  new RegExp(`^${[...pattern].map(one => (one === "*" ? ".*" : one === "?" ? "." : quoted(one))).join("")}$`, "su")

const lowerKey = (key: string): string => {
  const [head = "", ...tag] = key.split("/")
  return tag.length > 0 && head.toLowerCase().endsWith("tag")
    ? `${head.toLowerCase()}/${tag.join("/")}`
    : key.toLowerCase()
}

const keyOf = (request: PlainRequest, key: string): readonly string[] | undefined => {
  const wanted = lowerKey(key)
  const isPrincipalTag = wanted.startsWith("aws:principaltag/")
  return isPrincipalTag
    ? Object.entries(request.keys).find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1]
    : request.keys[wanted]
}

/** Private-use characters represent literal wildcards while a pattern is built. */
const [STAR, MARK] = ["\u{e000}", "\u{e001}"]
const guarded = (text: string): string => text.replaceAll("*", STAR).replaceAll("?", MARK)
const unguarded = (text: string): string => text.replaceAll(STAR, "*").replaceAll(MARK, "?")

/** Replaces variables by their values; returns undefined if a value is missing. */
function substituted(text: string, policy: PlainPolicy, request: PlainRequest): string | undefined {
  if (policy.Version === "2008-10-17") return text
  let isWhole = true
  const result = text.replace(/\$\{([^}]*)\}/g, (_, inside: string) => {
    if (["*", "?", "$"].includes(inside)) return guarded(inside)
    const [, key = "", fallback] = /^([^,]*)(?:, *'(.*)')?$/.exec(inside) ?? []
    const values = keyOf(request, key)
    const value = values?.length === 1 ? values[0] : fallback
    if (value === undefined) isWhole = false
    return guarded(value ?? "")
  })
  return isWhole ? result : undefined
}

/** Replaces the private-use characters by the literal wildcards. */
const likeGuarded = (pattern: string): RegExp =>
  new RegExp(like(pattern).source.replaceAll(STAR, "\\*").replaceAll(MARK, "\\?"), "su")

const sixOf = (arn: string): readonly string[] => {
  const parts = arn.split(":")
  return [...parts.slice(0, 5), parts.slice(5).join(":")]
}

const likeArn = (pattern: string, actual: string): boolean =>
  pattern === "*" || sixOf(pattern).every((part, index) => likeGuarded(part).test(sixOf(actual)[index] ?? ""))

function addressOf(text: string): { readonly bits: bigint; readonly width: number } {
  if (!text.includes(":"))
    return { bits: BigInt(text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0)), width: 32 }
  const [head = "", tail = ""] = text.split("::")
  const groups = (side: string): string[] => (side === "" ? [] : side.split(":"))
  const zeros = text.includes("::") ? 8 - groups(head).length - groups(tail).length : 0
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail)]
  return { bits: all.reduce((sum, group) => (sum << 16n) | BigInt(parseInt(group, 16)), 0n), width: 128 }
}

function isInRange(range: string, actual: string): boolean {
  const [network = "", prefix] = range.split("/")
  const [a, b] = [addressOf(network), addressOf(actual)]
  const open = BigInt(a.width - (prefix === undefined ? a.width : Number(prefix)))
  return a.width === b.width && a.bits >> open === b.bits >> open
}

const timeOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text))

/** By the name of a positive operator: whether a value of the request matches a value of the policy. */
function isMatch(operator: string, wanted: string, actual: string): boolean {
  const ordered = (relation: string, a: number, b: number): boolean => {
    if (relation === "Equals") return a === b
    if (relation.startsWith("LessThan")) return a < b || (relation.endsWith("Equals") && a === b)
    return a > b || (relation.endsWith("Equals") && a === b)
  }
  if (operator === "StringEquals") return unguarded(wanted) === actual
  if (operator === "StringEqualsIgnoreCase") return unguarded(wanted).toLowerCase() === actual.toLowerCase()
  if (operator === "StringLike") return likeGuarded(wanted).test(actual)
  if (operator.startsWith("Arn")) return likeArn(wanted, actual)
  if (operator === "IpAddress") return isInRange(wanted, actual)
  if (operator === "Bool") return wanted.toLowerCase() === actual.toLowerCase()
  if (operator === "BinaryEquals") return Buffer.from(wanted, "base64").equals(Buffer.from(actual, "base64"))
  if (operator.startsWith("Numeric")) return ordered(operator.slice("Numeric".length), Number(actual), Number(wanted))
  return ordered(operator.slice("Date".length), timeOf(actual), timeOf(wanted))
}

/** The requests that satisfy one line of a Condition. */
function meeting(policy: PlainPolicy, effect: string, operatorText: string, key: string, text: Text): SetOfRequests {
  const ifExists = operatorText.endsWith("IfExists")
  const set = /^For(All|Any)Values?:/.exec(operatorText)?.[1]
  const name = operatorText.replace(/^For\w+:/, "").replace(/IfExists$/, "")
  const isNegated = name.includes("Not")
  const positive = name.replace("Not", "")
  return request => {
    const actuals = keyOf(request, key)
    if (name === "Null")
      return list(text).some(wanted => (wanted === "true") === (actuals === undefined || actuals.length === 0))
    if (actuals === undefined) return ifExists || set === "All" || (set === undefined && isNegated)
    const wanted = list(text).map(value => substituted(value, policy, request))
    const isUnknown = wanted.includes(undefined)
    const one = (actual: string): boolean => {
      const isAny = wanted.some(value => value !== undefined && isMatch(positive, value, actual))
      return isNegated ? !isAny && !(isUnknown && effect === "Allow") : isAny
    }
    const counted = set !== undefined && actuals.length === 1 && actuals[0] === "" ? [] : actuals
    const isForAll = set === "All" || (set === undefined && isNegated)
    return isForAll ? counted.every(one) : counted.some(one)
  }
}

const speakingOf =
  (actions: Text): SetOfRequests =>
  ({ action }) =>
    list(actions).some(pattern => new RegExp(like(pattern).source, "si").test(action))

/** The requests on these resources, and those that lack a value of a variable. */
function onResources(
  policy: PlainPolicy,
  text: Text,
): { readonly matching: SetOfRequests; readonly unknown: SetOfRequests } {
  const patternsFor = (request: PlainRequest) => list(text).map(pattern => substituted(pattern, policy, request))
  return {
    matching: request =>
      patternsFor(request).some(pattern => pattern !== undefined && likeArn(pattern, request.resource)),
    unknown: request => patternsFor(request).includes(undefined),
  }
}

/** The requests to which a statement applies, for any caller. */
function applying(policy: PlainPolicy, statement: PlainStatement): SetOfRequests {
  const { Effect, Action, NotAction, Resource, NotResource, Condition = {} } = statement
  const sets: SetOfRequests[] = []
  if (Action !== undefined) sets.push(speakingOf(Action))
  if (NotAction !== undefined) sets.push(complement(speakingOf(NotAction)))
  if (Resource !== undefined) sets.push(onResources(policy, Resource).matching)
  if (NotResource !== undefined) {
    const { matching, unknown } = onResources(policy, NotResource)
    sets.push(complement(Effect === "Allow" ? union([matching, unknown]) : matching))
  }
  for (const [operator, keys] of Object.entries(Condition)) {
    for (const [key, values] of Object.entries(keys)) sets.push(meeting(policy, Effect, operator, key, values))
  }
  return intersection(sets)
}

const namedIn = (principal: PlainStatement["Principal"], type: string): readonly string[] =>
  principal === undefined ? [] : principal === "*" ? (type === "AWS" ? ["*"] : []) : list(principal[type])

const byEverybody =
  (principal: PlainStatement["Principal"]): SetOfRequests =>
  () =>
    namedIn(principal, "AWS").includes("*")

const byAccount =
  (principal: PlainStatement["Principal"]): SetOfRequests =>
  ({ kind, account, canonicalId }) => {
    if (kind === "anonymous" || kind === "federated") return false
    const aws = namedIn(principal, "AWS")
    const isCanonical = namedIn(principal, "CanonicalUser").includes(canonicalId)
    return isCanonical || aws.includes(account) || aws.includes(`arn:aws:iam::${account}:root`)
  }

const byRole =
  (principal: PlainStatement["Principal"]): SetOfRequests =>
  ({ kind, arn, userId }) => {
    const aws = namedIn(principal, "AWS")
    return kind === "session" && (aws.includes(arn) || aws.includes(userId.slice(0, userId.indexOf(":"))))
  }

const byItself =
  (principal: PlainStatement["Principal"]): SetOfRequests =>
  ({ kind, arn, sessionArn, userId, provider }) => {
    const aws = namedIn(principal, "AWS")
    if (kind === "user") return aws.includes(arn) || aws.includes(userId)
    if (kind === "session") return aws.includes(sessionArn) || aws.includes(userId)
    return kind === "federated" && namedIn(principal, "Federated").includes(provider)
  }

/** The requests whose caller the statement names, at least this specifically. */
function named(
  principal: PlainStatement["Principal"],
  reach: "account" | "role" | "caller",
  hasSession: boolean,
): SetOfRequests {
  const everybody = intersection([byEverybody(principal), ({ kind }) => kind !== "federated"])
  const itself = byItself(principal)
  const direct = intersection([itself, ({ kind }) => !(kind === "user" && hasSession)])
  switch (reach) {
    case "caller":
      return union([everybody, direct])
    case "role":
      return union([everybody, itself, byRole(principal)])
    case "account":
      return union([everybody, itself, byRole(principal), byAccount(principal)])
    default:
      return unreachable(reach)
  }
}

function deniedCallers({ Principal, NotPrincipal }: PlainStatement): SetOfRequests {
  if (Principal !== undefined) {
    return union([byEverybody, byItself, byRole, byAccount].map(by => by(Principal)))
  }
  if (NotPrincipal === undefined) return () => true
  const rootItself = intersection([byAccount(NotPrincipal), ({ kind }) => kind === "root"])
  return complement(union([byEverybody(NotPrincipal), byItself(NotPrincipal), rootItself]))
}

const denied = (policies: readonly PlainPolicy[]): SetOfRequests =>
  union(
    policies.flatMap(policy =>
      policy.Statement.filter(({ Effect }) => Effect === "Deny").map(statement =>
        intersection([deniedCallers(statement), applying(policy, statement)]),
      ),
    ),
  )

const allowed = (policies: readonly PlainPolicy[]): SetOfRequests =>
  union(
    policies.flatMap(policy =>
      policy.Statement.filter(({ Effect }) => Effect === "Allow").map(statement => applying(policy, statement)),
    ),
  )

const present = <T>(value: T | undefined): readonly T[] => (value === undefined ? [] : [value])

/** The requests that the resource's policy grants, naming the caller at least this specifically. */
function granted({ resource, session, acl }: PlainWorld, reach: "account" | "role" | "caller"): SetOfRequests {
  const order = ["account", "role", "caller"]
  const byAcl: SetOfRequests = () => acl !== undefined && order.indexOf(acl) >= order.indexOf(reach)
  const byPolicy = present(resource).flatMap(policy =>
    policy.Statement.filter(({ Effect }) => Effect === "Allow").map(statement =>
      intersection([named(statement.Principal, reach, session !== undefined), applying(policy, statement)]),
    ),
  )
  return union([byAcl, ...byPolicy])
}

/** All allowed requests in a world. */
export function allowedRequests(world: PlainWorld): SetOfRequests {
  const { identity, boundary, session, resource, isTrust } = world
  const kindIs =
    (...kinds: readonly PlainRequest["kind"][]): SetOfRequests =>
    ({ kind }) =>
      kinds.includes(kind)
  const own: SetOfRequests = ({ account, ownerAccount }) => account === ownerAccount
  const [toAccount, toRole, toCaller] = [granted(world, "account"), granted(world, "role"), granted(world, "caller")]
  const byIdentity = union([kindIs("root"), allowed(identity)])
  const limits = intersection([...present(boundary).map(one => allowed([one])), ...present(session).map(allowed)])
  const inside = union([
    toCaller,
    intersection([limits, toRole]),
    intersection([limits, byIdentity, isTrust ? toAccount : complement(nothing)]),
  ])
  const outside = intersection([limits, byIdentity, toAccount])
  const known = kindIs("root", "user", "session")
  const may = union([
    intersection([known, own, inside]),
    intersection([known, complement(own), outside]),
    intersection([complement(known), toAccount]),
  ])
  const refused = denied([...identity, ...present(boundary), ...(session ?? []), ...present(resource)])
  return intersection([may, complement(refused)])
}
