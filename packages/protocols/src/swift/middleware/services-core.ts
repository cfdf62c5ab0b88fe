/**
 * Accounts of services: `SERVICE_x` beside `AUTH_x`, in which services such as Glance keep what they store for the account x. Pure.
 *
 * Such an account is one of the store like any other, without keys. Its id is made of the number of x, so that readers of the audit
 * log and of quotas see to whom it belongs. See decision 80.
 */
import type { Account } from "@hayloft/access/contract.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import { SERVICE_PREFIX, type SwiftTarget } from "../target-core.js"

export const serviceAccountId = ({ number }: Pick<Account, "number">): AccountId =>
  parseAccountId(`${SERVICE_PREFIX}${number}`)

/** Throws `notImplemented` for the path of such an account in a store that serves none. */
export function refuseServiceAccount(account: string): void {
  if (!account.startsWith(SERVICE_PREFIX)) return
  const message = `accounts of services (${SERVICE_PREFIX}, with X-Service-Token) are not served: the operator allows them (--swift-service-accounts)`
  throw fail("notImplemented", { message })
}

/**
 * Returns true if a request may be the first one of such an account: it makes a container, or says something of the
 * account.
 */
export const isFirstOfAccount = (method: string, { container }: SwiftTarget): boolean =>
  method === "POST" || (method === "PUT" && container !== undefined)
