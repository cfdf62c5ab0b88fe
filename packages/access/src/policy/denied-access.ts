/**
 * The failure of a request that policies deny: `accessDenied` as the client receives it, together with the decision,
 * which the client does not receive.
 */
import { Failure, type FailureDetails } from "@hayloft/base/failures.js"
import type { KnownPrincipal } from "../principals/principal.js"
import type { AccessRequest, DecidedRequest, Denied, PrincipalPolicies } from "./contract.js"
import { decide, NO_RESOURCE_POLICIES } from "./decide.js"

export class DeniedAccess extends Failure {
  constructor(
    readonly request: DecidedRequest,
    readonly decision: Denied,
    details: FailureDetails = {},
  ) {
    super("accessDenied", details)
  }
}

/** For resources without policies of their own. Throws `DeniedAccess` unless the caller's policies allow the action. */
export function requireAllowed(
  request: AccessRequest & { readonly principal: KnownPrincipal },
  policies: PrincipalPolicies,
): void {
  const decision = decide(request, policies, NO_RESOURCE_POLICIES)
  if (decision.outcome === "allow") return
  const { principal, action, resource } = request
  const who = principal.kind === "session" ? principal.sessionArn : principal.arn
  const message = `User: ${who} is not authorized to perform: ${action} on resource: ${resource}`
  throw new DeniedAccess(request, decision, { message })
}
