/**
 * Resellers: who may act in every account, or read every account, without being of it; and services, whose tokens open accounts of
 * services beside a user's. Pure.
 *
 * With the store's own keys: the root user of the root account, and its identities to whom a policy allows
 * `hayloft:SwiftResellerAdmin` or `hayloft:SwiftResellerReader` on `*`, as for calls of the admin API that concern all accounts; of
 * services, `hayloft:SwiftService`.
 * With Keystone: who has one of the chosen roles. Source  The groups `.reseller_admin`, `.reseller_reader` and `.service` of Swift's TempAuth.
 */
import {
  decide,
  NO_POLICIES,
  NO_RESOURCE_POLICIES,
  parseAccessPolicy,
  type KnownAccessKey,
  type PrincipalPolicies,
  type RequestContext,
} from "@hayloft/access/index.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Grants } from "../../s3/index.js"

export type ResellerRole = "admin" | "reader"

const ACTIONS: readonly (readonly [role: ResellerRole, action: string])[] = [
  ["admin", "hayloft:SwiftResellerAdmin"],
  ["reader", "hayloft:SwiftResellerReader"],
]

const SERVICE_ACTION = "hayloft:SwiftService"

/** The actions of this store alone that requests of Swift may need. */
export const swiftActions = (): readonly string[] => [...ACTIONS.map(([, action]) => action), SERVICE_ACTION]

type Holder = Pick<KnownAccessKey, "account" | "principal" | "policies" | "isWholeRoot">

/** When and from where a key is used. */
interface KeyUse {
  readonly nowMs: number
  readonly context: RequestContext
}

/** Returns true if the owner of a key is of the root account, which allows it an action on everything. */
function mayDo(holder: Holder, action: string, rootAccount: AccountId, { nowMs, context }: KeyUse): boolean {
  const { account, principal, policies, isWholeRoot } = holder
  if (account.id !== rootAccount) return false
  if (isWholeRoot) return true
  const owner = { accountId: account.id, accountNumber: account.number }
  const request = { principal, action, resource: "*", owner, nowMs, context }
  return decide(request, policies, NO_RESOURCE_POLICIES).outcome === "allow"
}

/** The role of the owner of a key. */
export const roleOfKey = (holder: Holder, rootAccount: AccountId, use: KeyUse): ResellerRole | undefined =>
  ACTIONS.find(([, action]) => mayDo(holder, action, rootAccount, use))?.[0]

/** Returns true if the owner of a key is a service. */
export const isServiceKey = (holder: Holder, rootAccount: AccountId, use: KeyUse): boolean =>
  mayDo(holder, SERVICE_ACTION, rootAccount, use)

const READING = parseAccessPolicy(
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}',
  "identity",
)

/** The policies of a user who may read everything in an account. */
export const READER_POLICIES: PrincipalPolicies = {
  ...NO_POLICIES,
  identity: [{ name: "readers of Swift", policy: READING }],
}

/** Returns what a role gives in containers of other accounts than the one it acts in: the sources of copies. */
export const grantsOfRole = (role: ResellerRole): Grants => ({
  match: (_bucket, action) => (role === "admin" || /^(?:Get|List)/.test(action) ? "account" : undefined),
})
