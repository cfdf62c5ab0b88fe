/** The query of a role that a caller requests. Pure. */
import { parseAccountNumber } from "../base/ids.js"
import type { IdentityRecord, RoleTerms } from "../format/identity-records.js"
import type { AccountRecord } from "../format/records.js"
import { query } from "../metadata/index.js"
import { findAccount, findAccountId } from "./find-account-core.js"
import { findIdentity } from "./identities/identity-commands-core.js"
import { findPolicy } from "./identities/managed-policy-commands-core.js"
import { parseIdentityArn } from "./identities/names.js"

export interface AssumableRole {
  readonly account: AccountRecord
  readonly role: IdentityRecord
  readonly terms: RoleTerms
  /** The ARN of the first session policy that does not exist. */
  readonly missingPolicy: string | undefined
}

/** `policyArns` are managed policies that will limit the session. Undefined if there is no such role. */
export const readAssumableRole = query(
  "ReadAssumableRole",
  (view, roleArn: string, policyArns: readonly string[]): AssumableRole | undefined => {
    const parsed = parseIdentityArn("role", roleArn)
    if (parsed === undefined || parsed.account === "aws") return undefined
    const accountId = findAccountId(view, parseAccountNumber(parsed.account))
    const account = accountId && findAccount(view, accountId)
    if (account === undefined) return undefined
    const role = findIdentity(view, { accountId: account.id, kind: "role", name: parsed.name })
    if (role?.role === undefined || role.path !== parsed.path || role.name !== parsed.name) return undefined
    const missingPolicy = policyArns.find(arn => findPolicy(view, account.id, arn) === undefined)
    return { account, role, terms: role.role, missingPolicy }
  },
)
