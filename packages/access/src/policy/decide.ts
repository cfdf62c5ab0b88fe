/**
 * The decision: from a request and all policies that concern it to allowed or denied, and by which statement. Pure.
 *
 * 1. An explicit Deny in any policy is final.
 * 2. In the owner's own account one Allow is enough, from the identity or the resource; the root user needs none.
 *    Requests that the boundary or the session policies do not allow are denied, unless the resource's policy names the
 *    caller itself or everybody: that grant stands alone.
 * 3. For a caller from another account both sides must allow.
 * 4. A role is assumed, and a named key used, only if its own policy allows it; if that policy names the account, the
 *    account's own policies must allow it too.
 * 5. Anonymous callers and web identities have only the resource's policy.
 * 6. An evaluation that costs too much is denied: a decision has an `EvaluationBudget`, and once it is spent, Deny
 *    statements apply and Allow statements do not.
 * Source  "Policy evaluation logic", IAM User Guide.
 */
import type {
  AccessPolicyKind,
  AccessRequest,
  DecidedBy,
  Decision,
  NamedPolicy,
  PolicySide,
  PrincipalPolicies,
  PrincipalMatch,
  ResourcePolicies,
} from "./contract.js"
import { EvaluationBudget } from "./evaluation-budget.js"
import { concerns, matchOf } from "./principals.js"
import { findRules, type NamedRule } from "./rule-index.js"

/** Without a grant of theirs not even the root user of their account may use the resource. */
const NEEDS_GRANT: ReadonlySet<AccessPolicyKind> = new Set(["trust", "key"])

export const NO_POLICIES: PrincipalPolicies = { identity: [], boundary: undefined, session: undefined }
export const NO_RESOURCE_POLICIES: ResourcePolicies = { policy: undefined, acl: undefined }

type Policies = NamedPolicy | readonly NamedPolicy[] | undefined

const decidedBy = (side: PolicySide, { name, rule: { statement } }: NamedRule): DecidedBy => ({
  side,
  policy: name,
  sid: statement.sid,
  index: statement.index,
})

const isFor = ({ rule }: NamedRule, request: AccessRequest, budget: EvaluationBudget): boolean =>
  (rule.callers === undefined || concerns(rule.callers, request.principal)) && rule.appliesTo(request, budget)

function findDeny(
  side: PolicySide,
  policies: Policies,
  request: AccessRequest,
  budget: EvaluationBudget,
): DecidedBy | undefined {
  if (policies === undefined) return undefined
  for (const { denies } of findRules(policies, request.action, request.resource)) {
    const named = denies.find(one => isFor(one, request, budget))
    if (named !== undefined) return decidedBy(side, named)
  }
  return undefined
}

function findAllow(
  side: PolicySide,
  policies: Policies,
  request: AccessRequest,
  budget: EvaluationBudget,
): DecidedBy | undefined {
  if (policies === undefined) return undefined
  for (const { allows } of findRules(policies, request.action, request.resource)) {
    const named = allows.find(({ rule }) => rule.appliesTo(request, budget))
    if (named !== undefined) return decidedBy(side, named)
  }
  return undefined
}

interface Grant {
  readonly match: PrincipalMatch
  readonly by: DecidedBy | "acl"
}

const MATCH_RANK: Readonly<Record<PrincipalMatch, number>> = { account: 1, role: 2, caller: 3 }

/** The grant of the policies on the resource; of several grants, the one with the closest match. */
function findGrant(
  request: AccessRequest,
  { policy, acl }: ResourcePolicies,
  hasSession: boolean,
  budget: EvaluationBudget,
): Grant | undefined {
  let best: Grant | undefined = acl && { match: acl, by: "acl" }
  if (policy === undefined) return best
  const allows = findRules(policy, request.action, request.resource).flatMap(found => found.allows)
  for (const named of allows) {
    if (best?.match === "caller") break
    const { callers, appliesTo } = named.rule
    const match = callers && matchOf(callers, request.principal, hasSession)
    if (match === undefined || (best && MATCH_RANK[best.match] >= MATCH_RANK[match])) continue
    if (appliesTo(request, budget)) best = { match, by: decidedBy("resource", named) }
  }
  return best
}

function denyOf(
  request: AccessRequest,
  own: PrincipalPolicies,
  resource: ResourcePolicies,
  budget: EvaluationBudget,
): DecidedBy | undefined {
  return (
    findDeny("resource", resource.policy, request, budget) ??
    findDeny("identity", own.identity, request, budget) ??
    findDeny("boundary", own.boundary, request, budget) ??
    findDeny("session", own.session, request, budget)
  )
}

/** The limits on a principal that do not allow the request. */
function limitsOf(
  request: AccessRequest,
  { boundary, session }: PrincipalPolicies,
  budget: EvaluationBudget,
): readonly PolicySide[] {
  const lacking: PolicySide[] = []
  if (boundary !== undefined && findAllow("boundary", boundary, request, budget) === undefined) lacking.push("boundary")
  if (session !== undefined && findAllow("session", session, request, budget) === undefined) lacking.push("session")
  return lacking
}

/** The smallest set of sides on which an Allow is missing. */
function lackingOf(
  { principal }: AccessRequest,
  { session }: PrincipalPolicies,
  found: { readonly isOwn: boolean; readonly isAllowed: boolean; readonly isGranted: boolean },
  limits: readonly PolicySide[],
): readonly PolicySide[] {
  const { isOwn, isAllowed, isGranted } = found
  if (isGranted) return isAllowed ? limits : ["identity", ...limits]
  if (!isOwn) return isAllowed ? ["resource", ...limits] : ["identity", "resource", ...limits]
  // A trust policy that names the caller needs no identity policy, and for a user no boundary either.
  return principal.kind === "user" && session === undefined ? ["resource"] : ["resource", ...limits]
}

/**
 * Returns true if Allow statements of the principal's own policies name any action of the service: without one it has
 * no right there.
 */
export function mayActIn(service: string, { kind }: { readonly kind: string }, own: PrincipalPolicies): boolean {
  const isOf = (pattern: string): boolean => /^[*?]/.test(pattern) || pattern.toLowerCase().startsWith(`${service}:`)
  const names = (policies: readonly NamedPolicy[]): boolean =>
    policies.some(({ policy: { statements } }) =>
      statements.some(({ effect, actions }) => effect === "Allow" && (actions.negated || actions.patterns.some(isOf))),
    )
  const { identity, boundary, session } = own
  return (
    (kind === "root" || names(identity)) &&
    (boundary === undefined || names([boundary])) &&
    (session === undefined || names(session))
  )
}

export function decide(request: AccessRequest, own: PrincipalPolicies, resource: ResourcePolicies): Decision {
  const budget = new EvaluationBudget()
  const decision = decideWith(request, own, resource, budget)
  return budget.isSpent && decision.outcome !== "allow" ? { ...decision, isCutShort: true } : decision
}

function decideWith(
  request: AccessRequest,
  own: PrincipalPolicies,
  resource: ResourcePolicies,
  budget: EvaluationBudget,
): Decision {
  const denied = denyOf(request, own, resource, budget)
  if (denied !== undefined) return { outcome: "explicitDeny", by: denied }
  const { principal } = request
  const grant = findGrant(request, resource, own.session !== undefined, budget)
  if (!("arn" in principal)) {
    return grant === undefined ? { outcome: "implicitDeny", lacking: ["resource"] } : { outcome: "allow", by: grant.by }
  }
  const isOwn = principal.accountNumber === request.owner.accountNumber
  if (isOwn && grant?.match === "caller") return { outcome: "allow", by: grant.by }
  const mustBeGranted = !isOwn || NEEDS_GRANT.has(resource.policy?.policy.kind ?? "identity")
  const identity = principal.kind === "root" ? "root" : findAllow("identity", own.identity, request, budget)
  const by = identity ?? (isOwn && grant?.match === "role" ? grant.by : undefined)
  const limits = limitsOf(request, own, budget)
  const isGranted = grant !== undefined || !mustBeGranted
  if (by !== undefined && isGranted && limits.length === 0) return { outcome: "allow", by }
  const found = { isOwn, isAllowed: by !== undefined, isGranted }
  return { outcome: "implicitDeny", lacking: lackingOf(request, own, found, limits) }
}
