/** Actions on the account as a whole: its summary and its aliases. */
import { IDENTITY_LIMITS, POLICY_LIMITS } from "@hayloft/access/index.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import { guarded, type Actions, type IamCall, type IamResult } from "../action.js"
import { PAGING, writeList } from "../paging.js"
import { onAccount } from "../targets.js"

export const ACCOUNT: Actions = {
  ListAccountAliases: guarded(onAccount, PAGING.join(" "), listAccountAliases),
  GetAccountSummary: guarded(onAccount, "", getAccountSummary),
}

/** Accounts have no aliases in this store. */
async function listAccountAliases(): Promise<IamResult> {
  return xml => {
    writeList(xml, "AccountAliases", [], () => undefined)
    xml.text("IsTruncated", false)
  }
}

/** Reported for unlimited quotas: the largest value of a client's 32-bit integer. */
const UNLIMITED = 2 ** 31 - 1

/** The quotas that the service enforces. */
const QUOTAS: readonly (readonly [string, number])[] = [
  ["UsersQuota", UNLIMITED],
  ["GroupsQuota", UNLIMITED],
  ["RolesQuota", UNLIMITED],
  ["PoliciesQuota", UNLIMITED],
  ["PolicyVersionsInUseQuota", UNLIMITED],
  ["GroupsPerUserQuota", IDENTITY_LIMITS.groupsPerUser],
  ["AccessKeysPerUserQuota", IDENTITY_LIMITS.accessKeysPerUser],
  ["VersionsPerPolicyQuota", IDENTITY_LIMITS.policyVersionsMax],
  ["AttachedPoliciesPerUserQuota", IDENTITY_LIMITS.attachedPoliciesMax],
  ["AttachedPoliciesPerGroupQuota", IDENTITY_LIMITS.attachedPoliciesMax],
  ["AttachedPoliciesPerRoleQuota", IDENTITY_LIMITS.attachedPoliciesMax],
  ["PolicySizeQuota", POLICY_LIMITS.managedCharactersMax],
  ["UserPolicySizeQuota", POLICY_LIMITS.userInlineCharactersMax],
  ["GroupPolicySizeQuota", POLICY_LIMITS.groupInlineCharactersMax],
  ["RolePolicySizeQuota", POLICY_LIMITS.roleInlineCharactersMax],
  ["AssumeRolePolicySizeQuota", POLICY_LIMITS.trustCharactersMax],
  ["SigningCertificatesPerUserQuota", 0],
  ["ServerCertificatesQuota", 0],
  ["InstanceProfilesQuota", 0],
]

/** Entries that are always 0, for features that are not implemented. */
const ALWAYS_ZERO: readonly string[] = [
  "AccountMFAEnabled",
  "AccountPasswordPresent",
  "AccountSigningCertificatesPresent",
  "MFADevices",
  "MFADevicesInUse",
  "ServerCertificates",
  "InstanceProfiles",
]

async function getAccountSummary({ identities, accounts, accountId }: IamCall): Promise<IamResult> {
  const count = (kind: IdentityKind) => countOf(identities.list(accountId, kind, ""))
  const policies = () => identities.listPolicies(accountId, "")
  const rootKeys = await accounts.keysOf({ accountId, userName: undefined })
  const entries: readonly (readonly [string, number])[] = [
    ["Users", await count("user")],
    ["Groups", await count("group")],
    ["Roles", await count("role")],
    ["Policies", await countOf(policies())],
    ["PolicyVersionsInUse", await countOf(policies(), ({ record }) => record.versions.length)],
    ["Providers", (await identities.listProviders(accountId)).length],
    ["AccountAccessKeysPresent", Math.min(1, rootKeys.length)],
    ...ALWAYS_ZERO.map(name => [name, 0] as const),
    ...QUOTAS,
  ]
  return xml =>
    void xml.group("SummaryMap", map => {
      for (const [key, value] of entries) map.group("entry", entry => entry.text("key", key).text("value", value))
    })
}

async function countOf<Item>(items: AsyncIterable<Item>, weight = (_: Item): number => 1): Promise<number> {
  let count = 0
  for await (const item of items) count += weight(item)
  return count
}
