/**
 * Named roles: decides if the RoleArn of an AssumeRole names a role of this store.
 *
 * MinIO has no roles. It ignores RoleArn and answers with keys of the caller, so that its clients send any text. Here a text that
 * names no role gets the same: keys that may do no more than the caller, within the policy of the request. A text with
 * the number of an account of this store means a role of that account even if the name is mistyped: keys that may do more
 * than the role would surprise its owner.
 */
import type { Accounts } from "@hayloft/access/contract.js"
import { parseAccountNumber, type AccountNumber } from "@hayloft/base/ids.js"

/** MinIO's documents recommend these for SDKs that require a role; with any settings they name none. */
const NO_ROLE_ARNS = ["arn:x:ignored:by:minio:", "arn:xxx:xxx:xxx:xxxx"]
const NUMBER = /^\d{12}$/
/** `arn:aws:iam::NUMBER:role/NAME`. */
const NUMBER_AT = 4

/** Returns the account number in an ARN, or undefined if it has none. Pure. */
export function accountNamedIn(roleArn: string): AccountNumber | undefined {
  const text = roleArn.split(":", NUMBER_AT + 1)[NUMBER_AT] ?? ""
  return NUMBER.test(text) ? parseAccountNumber(text) : undefined
}

/** Resolves with false if the ARN cannot name a role of this store. `ignoresUnknown`: the setting `ignoreUnknownRoles`. */
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
