/**
 * Explains decisions in words, with the smallest grants that would have helped. For operators and owners, never for
 * the client.
 */
import type { DecidedRequest, DecidedBy, Decision, PolicySide } from "./contract.js"
import { escaped } from "./pattern.js"

/** A missing statement, ready to be put into a policy of version 2012-10-17 on that side. */
export interface LackingGrant {
  readonly side: PolicySide
  readonly statement: string
}

/** A principal element that names exactly the caller. */
function principalOf({ principal }: DecidedRequest): unknown {
  switch (principal.kind) {
    case "anonymous":
      return "*"
    case "federated":
      return { Federated: principal.providerArn }
    case "session":
    case "root":
    case "user":
      return { AWS: principal.arn }
  }
}

function statementFor(side: PolicySide, request: DecidedRequest, isTrust: boolean): string {
  return JSON.stringify({
    Effect: "Allow",
    ...(side === "resource" && { Principal: principalOf(request) }),
    Action: request.action,
    ...(!(side === "resource" && isTrust) && { Resource: escaped(request.resource) }),
  })
}

/** All of them are required. Empty if no grant helps: a statement denies explicitly, or the budget was spent. */
export function lackingGrants(request: DecidedRequest, decision: Decision): readonly LackingGrant[] {
  if (decision.outcome !== "implicitDeny" || decision.isCutShort === true) return []
  const isTrust = request.action.startsWith("sts:")
  return decision.lacking.map(side => ({ side, statement: statementFor(side, request, isTrust) }))
}

const placeOf = ({ policy, sid, index }: DecidedBy): string =>
  `statement ${index + 1}${sid === undefined ? "" : ` (${sid})`} of ${policy}`

const SIDES: Readonly<Record<PolicySide, string>> = {
  identity: "policy of the caller",
  boundary: "permissions boundary",
  session: "session policy",
  resource: "policy of the resource",
}

const CUT_SHORT =
  "; the evaluation budget was spent, so Deny statements applied and Allow statements did not (too many wildcards for values of this length)"

export const sentenceOfDecision = (decision: Decision): string =>
  `${outcomeOf(decision)}${decision.outcome !== "allow" && decision.isCutShort === true ? CUT_SHORT : ""}`

function outcomeOf(decision: Decision): string {
  switch (decision.outcome) {
    case "allow":
      if (decision.by === "root") return "allowed to the account's root user"
      return decision.by === "acl" ? "allowed by an access control list" : `allowed by ${placeOf(decision.by)}`
    case "explicitDeny":
      return `denied by ${placeOf(decision.by)}`
    case "implicitDeny":
      return `denied: ${decision.lacking.map(side => `no ${SIDES[side]} allows it`).join(", and ")}`
  }
}
