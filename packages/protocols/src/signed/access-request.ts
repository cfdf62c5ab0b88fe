/** The question that policies decide for a signed request: may its caller do this with that? */
import { sourceContext, type AccessRequest, type KnownAccessKey, type KnownPrincipal } from "@hayloft/access/index.js"
import type { Exchange } from "../http/index.js"

interface Asked {
  /** The action by the name that policies use: `sqs:SendMessage`. */
  readonly action: string
  readonly resource: string
  /** Condition keys; by default those of the request's source. */
  readonly context?: AccessRequest["context"]
}

/** For resources of the caller's own account. `region`: see `sourceContext`. */
export function accessRequestOf(
  { exchange, nowMs }: { readonly exchange: Exchange; readonly nowMs: number },
  { principal, account }: KnownAccessKey,
  region: string,
  { action, resource, context = sourceContext(exchange, region) }: Asked,
): AccessRequest & { readonly principal: KnownPrincipal } {
  return {
    principal,
    action,
    resource,
    owner: { accountId: account.id, accountNumber: account.number },
    nowMs,
    context,
  }
}
