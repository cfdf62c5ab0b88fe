/**
 * Which texts may name a role. MinIO has no roles: it ignores RoleArn and answers with keys of the caller, so that its clients
 * send any text. Here a text that names none gets the same, never more than the caller may do, within the policy of the request.
 * A text that names an account of this store means a role of it, also if it is mistyped: wider keys than those of the role
 * would surprise who has made it.
 */
import type { Accounts } from "@hayloft/access/contract.js"
import { parseAccountNumber, type AccountNumber } from "@hayloft/base/ids.js"

/** MinIO's documents give these to SDKs that require a role; they name none, whatever the settings are. */
const NO_ROLE_ARNS = ["arn:x:ignored:by:minio:", "arn:xxx:xxx:xxx:xxxx"]
const NUMBER = /^\d{12}$/
/** `arn:aws:iam::NUMBER:role/NAME`. */
const NUMBER_AT = 4

/** Returns the number at the place of an account in an ARN; undefined if there is none. Pure. */
export function accountNamedIn(roleArn: string): AccountNumber | undefined {
  const text = roleArn.split(":", NUMBER_AT + 1)[NUMBER_AT] ?? ""
  return NUMBER.test(text) ? parseAccountNumber(text) : undefined
}

/** Resolves with false if nobody can mean a role of this store. `ignoresUnknown`: the setting `ignoreUnknownRoles`. */
export async function mayNameRole(
  roleArn: string,
  accounts: Pick<Accounts, "accountOfNumber">,
  ignoresUnknown: boolean,
): Promise<boolean> {
  if (NO_ROLE_ARNS.includes(roleArn)) return false
  if (!ignoresUnknown) return true
  const number = accountNamedIn(roleArn)
  return number !== undefined && (await accounts.accountOfNumber(number)) !== undefined
}
