/**
 * What a key of the bucket's account may do, for the requests that come by the thousand: decided without waiting.
 *
 * Promises  What is allowed here `Authority` allows too. Nothing is denied here: where a policy does not allow it, or asks
 *           for what has to be read first, `Authority` has to judge. Lists are not looked at: they only let in more.
 */
import { decide, NO_RESOURCE_POLICIES } from "../../access/index.js"
import type { ConditionKey, KnownKey, NamedPolicy, RequestContext } from "../../access/index.js"
import { unlessRefused } from "../../base/failures.js"
import type { ActionName } from "./actions.js"
import { arnOf } from "./authority.js"
import type { Place } from "./authority.js"
import { ConditionValues, type RequestHead, type Values } from "./condition-values-core.js"

/** What the request says, looked at where a policy asks. */
class Lazily implements RequestContext {
  private values: ConditionValues | undefined

  constructor(private readonly head: () => RequestHead) {}

  get wantsMore(): boolean {
    return this.values !== undefined && this.values.unread.size > 0
  }

  valuesOf(key: ConditionKey): Values {
    this.values ??= new ConditionValues(this.head(), undefined, {})
    return this.values.valuesOf(key)
  }
}

/** `policy` is the bucket's; `actions` are all that the request needs to be allowed. */
export function mayAtOnce(
  { principal, policies }: KnownKey,
  policy: NamedPolicy | undefined,
  actions: readonly ActionName[],
  place: Place,
  nowMs: number,
  head: () => RequestHead,
): boolean {
  const context = new Lazily(head)
  const owner = { accountId: principal.accountId, accountNumber: principal.accountNumber }
  const ofBucket = policy === undefined ? NO_RESOURCE_POLICIES : { policy, acl: undefined }
  const isAllowed = (action: ActionName): boolean => {
    const request = { principal, action: `s3:${action}`, resource: arnOf(action, place), owner, nowMs, context }
    return decide(request, policies, ofBucket).outcome === "allow"
  }
  return unlessRefused(() => actions.every(isAllowed)) === true && !context.wantsMore
}
