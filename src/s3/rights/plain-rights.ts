/**
 * What a key may do whatever else its request says: for the requests that come by the thousand, decided
 * without waiting.
 *
 * Promises  What is allowed here `Authority` allows too, in a bucket of the key's account that has no policy. Nothing is
 *           denied here: where a policy asks for anything of the request, `Authority` has to judge.
 */
import { decide, NO_RESOURCE_POLICIES } from "../../access/index.js"
import type { ConditionKey, KnownKey, RequestContext } from "../../access/index.js"
import type { ActionName } from "./actions.js"
import { arnOf } from "./authority.js"
import type { Place } from "./authority.js"

/** Says nothing, and notes that it was asked. */
class Silent implements RequestContext {
  wasAsked = false

  valuesOf(_: ConditionKey): undefined {
    this.wasAsked = true
  }
}

export function mayInAnyCase(
  { principal, policies }: KnownKey,
  actions: readonly ActionName[],
  place: Place,
  nowMs: number,
): boolean {
  const { accountId, accountNumber } = principal
  return actions.every(action => {
    const context = new Silent()
    const owner = { accountId, accountNumber }
    const request = { principal, action: `s3:${action}`, resource: arnOf(action, place), owner, nowMs, context }
    return decide(request, policies, NO_RESOURCE_POLICIES).outcome === "allow" && !context.wasAsked
  })
}
