/**
 * The decision: a request and all policies that concern it, to allowed or denied and by which statement. Pure.
 *
 * 1. An explicit Deny in any of them ends it.
 * 2. In the owner's own account one Allow is enough, of the identity or of the resource; the root user needs none. What
 *    the boundary and the session policies do not allow is denied, unless the resource names the caller itself or
 *    everybody: that grant is the resource's alone.
 * 3. From another account both sides must allow.
 * 4. A role is assumed only where its trust policy allows it; where that names the account, the account's own policies
 *    must allow it too.
 * 5. Anonymous callers and web identities have nothing but the resource's policy.
 * Source  "Policy evaluation logic", IAM User Guide.
 */
import type {
  AccessRequest,
  DecidedBy,
  Decision,
  NamedPolicy,
  PolicySide,
  PrincipalPolicies,
  Reach,
  ResourcePolicies,
  Rule,
} from "./contract.js"
import { concerns, reachOf } from "./principals.js"

export const NO_POLICIES: PrincipalPolicies = { identity: [], boundary: undefined, session: undefined }
export const NO_RESOURCE_POLICIES: ResourcePolicies = { policy: undefined, acl: undefined }

const decidedBy = (side: PolicySide, { name }: NamedPolicy, { statement }: Rule): DecidedBy => ({
  side,
  policy: name,
  sid: statement.sid,
  index: statement.index,
})

function findDeny(side: PolicySide, policies: readonly NamedPolicy[], request: AccessRequest): DecidedBy | undefined {
  for (const named of policies) {
    for (const rule of named.policy.rulesFor(request.action).denies) {
      const isMeant = rule.callers === undefined || concerns(rule.callers, request.principal)
      if (isMeant && rule.appliesTo(request)) return decidedBy(side, named, rule)
    }
  }
  return undefined
}

function findAllow(side: PolicySide, policies: readonly NamedPolicy[], request: AccessRequest): DecidedBy | undefined {
  for (const named of policies) {
    for (const rule of named.policy.rulesFor(request.action).allows) {
      if (rule.appliesTo(request)) return decidedBy(side, named, rule)
    }
  }
  return undefined
}

interface Grant {
  readonly reach: Reach
  readonly by: DecidedBy | "acl"
}

const FURTHER: Readonly<Record<Reach, number>> = { account: 1, role: 2, caller: 3 }

/** What hangs on the resource grants it; of several grants the one that reaches furthest. */
function findGrant(request: AccessRequest, { policy, acl }: ResourcePolicies, hasSession: boolean): Grant | undefined {
  let best: Grant | undefined = acl && { reach: acl, by: "acl" }
  for (const rule of policy?.policy.rulesFor(request.action).allows ?? []) {
    const reach = rule.callers && reachOf(rule.callers, request.principal, hasSession)
    if (policy === undefined || reach === undefined || (best && FURTHER[best.reach] >= FURTHER[reach])) continue
    if (rule.appliesTo(request)) best = { reach, by: decidedBy("resource", policy, rule) }
    if (best?.reach === "caller") break
  }
  return best
}

const listOf = (policy: NamedPolicy | undefined): readonly NamedPolicy[] => (policy === undefined ? [] : [policy])

function denyOf(request: AccessRequest, own: PrincipalPolicies, resource: ResourcePolicies): DecidedBy | undefined {
  return (
    findDeny("resource", listOf(resource.policy), request) ??
    findDeny("identity", own.identity, request) ??
    findDeny("boundary", listOf(own.boundary), request) ??
    findDeny("session", own.session ?? [], request)
  )
}

/** Which of the limits on a principal does not allow it. */
function limitsOf(request: AccessRequest, { boundary, session }: PrincipalPolicies): readonly PolicySide[] {
  const lacking: PolicySide[] = []
  if (boundary !== undefined && findAllow("boundary", [boundary], request) === undefined) lacking.push("boundary")
  if (session !== undefined && findAllow("session", session, request) === undefined) lacking.push("session")
  return lacking
}

export function decide(request: AccessRequest, own: PrincipalPolicies, resource: ResourcePolicies): Decision {
  const denied = denyOf(request, own, resource)
  if (denied !== undefined) return { outcome: "explicitDeny", by: denied }
  const { principal } = request
  const grant = findGrant(request, resource, own.session !== undefined)
  if (!("arn" in principal)) {
    return grant === undefined ? { outcome: "implicitDeny", lacking: ["resource"] } : { outcome: "allow", by: grant.by }
  }
  const isOwn = principal.accountNumber === request.owner.accountNumber
  if (isOwn && grant?.reach === "caller") return { outcome: "allow", by: grant.by }
  const mustBeGranted = !isOwn || resource.policy?.policy.kind === "trust"
  const identity = principal.kind === "root" ? "root" : findAllow("identity", own.identity, request)
  const by = identity ?? (isOwn && grant?.reach === "role" ? grant.by : undefined)
  const limits = limitsOf(request, own)
  const isGranted = grant !== undefined || !mustBeGranted
  if (by !== undefined && isGranted && limits.length === 0) return { outcome: "allow", by }
  const lacking: readonly PolicySide[] = [
    ...(by === undefined ? (["identity"] as const) : []),
    ...(isGranted ? [] : (["resource"] as const)),
    ...limits,
  ]
  return { outcome: "implicitDeny", lacking }
}
