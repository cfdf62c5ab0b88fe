/** Changes of accounts by requests of Swift, which the audit log has. */
import { audited, auditCallerOf } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { SwiftContext, SwiftRequest } from "./requests.js"

type Requester = Pick<SwiftRequest, "caller" | "exchange">

/** `make` returns what is there afterwards; undefined: nothing. */
export function auditedChange(
  { audit }: Pick<SwiftContext, "audit">,
  { caller, exchange }: Requester,
  { operation, target }: { readonly operation: string; readonly target: AccountId },
  former: object | undefined,
  make: () => Promise<object | undefined>,
): Promise<object | undefined> {
  const { requestId, remoteAddress } = exchange
  const who = auditCallerOf(caller.principal, caller.request.accessKeyId, remoteAddress)
  const textOf = async (state: object | undefined) => state && JSON.stringify(state)
  return audited(
    audit,
    { caller: who, requestId, operation: `swift:${operation}`, target, request: undefined },
    { before: () => textOf(former), after: textOf },
    make,
  )
}

/** Returns true if it made the account: another request may have made it meanwhile. */
export async function makeAccount(
  context: Pick<SwiftContext, "audit" | "accounts">,
  requester: Requester,
  id: AccountId,
): Promise<boolean> {
  try {
    await auditedChange(context, requester, { operation: "CreateAccount", target: id }, undefined, () =>
      context.accounts.createAccount({ id, displayName: id, email: "" }),
    )
    return true
  } catch (error) {
    if (!isFailure(error, "accountExists")) throw error
    return false
  }
}
