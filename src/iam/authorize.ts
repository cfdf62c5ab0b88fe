/** Checks that the caller's policies allow an action. The root user may do everything in its account. */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES, type RequestContext } from "../access/index.js"
import { fail } from "../base/failures.js"
import type { Call, Target } from "./action.js"

/** `action` as policies name it. Throws `accessDenied`. */
export function authorize(
  action: string,
  { caller, accountId, number, nowMs }: Call,
  target: Target,
  context: RequestContext,
): void {
  const { principal, policies } = caller
  if (action.startsWith("iam:") && caller.session === "key") {
    throw fail("accessDenied", {
      message: "IAM cannot be called with credentials from GetSessionToken; sign with the long-term key.",
    })
  }
  const owner = { accountId, accountNumber: number }
  const request = { principal, action, resource: target.arn, owner, nowMs, context }
  const decision = decide(request, policies, NO_RESOURCE_POLICIES)
  if (decision.outcome === "allow") return
  const who = principal.kind === "session" ? principal.sessionArn : principal.arn
  throw new DeniedAccess(request, decision, {
    message: `User: ${who} is not authorized to perform: ${action} on resource: ${target.arn}`,
  })
}
