/** Queries of users, groups, roles, managed policies and providers. Pure. */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import {
  decodeIdentity,
  decodeManagedPolicy,
  type IdentityKind,
  type IdentityRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRange } from "@hayloft/engine/format/row-key.js"
import { query } from "@hayloft/engine/metadata/index.js"
import type { UsedPolicy, IdentityRef } from "../contract.js"
import { findAccount } from "../accounts/find-account-core.js"
import { readPage, type RecordPage } from "../accounts/record-pages-core.js"
import { attachedTexts } from "./attached-texts-core.js"
import { linkedIdentity, needIdentity } from "./identity-commands-core.js"
import { dnOfMembership } from "./entry-commands-core.js"
import { membershipRange, parseMembership } from "./identity-links-core.js"
import { findByName, needPolicy, policyUseOf } from "./managed-policy-commands-core.js"
import { policyArn } from "./names.js"
import { needProvider, providersOf } from "./provider-commands-core.js"

/** Throws `noSuchEntity`. */
export const readIdentity = query("ReadIdentity", (view, ref: IdentityRef) => needIdentity(view, ref))

/** A user or role with its account and the policies that apply to it. Throws `noSuchEntity`, `noSuchAccount`. */
export const readWithPolicies = query("ReadWithPolicies", (view, ref: IdentityRef) => {
  const account = findAccount(view, ref.accountId)
  if (account === undefined) throw fail("noSuchAccount", { account: ref.accountId })
  const identity = needIdentity(view, ref)
  return { account, identity, attached: attachedTexts(view, account.id, identity) }
})

export const readIdentities = query(
  "ReadIdentities",
  (view, accountId: AccountId, kind: IdentityKind, start: RowKey): RecordPage<IdentityRecord> =>
    readPage(view, "identities", accountRange(accountId, kind), start, (_key, value) => decodeIdentity(value)),
)

/** Identities that are members of a group or have a policy. */
export const readLinked = query(
  "ReadLinked",
  (view, accountId: AccountId, membership: string, start: RowKey): RecordPage<IdentityRecord> => {
    const page = readPage(view, "identityLinks", membershipRange(accountId, membership), start, key =>
      linkedIdentity(view, accountId, key),
    )
    return { ...page, items: page.items.filter(identity => identity !== undefined) }
  },
)

/** DNs of the entries of a directory that have a policy. */
export const readLinkedEntries = query(
  "ReadLinkedEntries",
  (view, accountId: AccountId, membership: string, start: RowKey): RecordPage<string> => {
    const page = readPage(view, "identityLinks", membershipRange(accountId, membership), start, parseMembership)
    const entries = page.items.filter(({ kind }) => kind === "entry")
    return { ...page, items: entries.map(({ name }) => dnOfMembership(name)) }
  },
)

/** Throws `noSuchEntity`. */
export const readPolicy = query("ReadPolicy", (view, accountId: AccountId, arn: string) =>
  needPolicy(view, accountId, arn),
)

export const readPolicyNamed = query("ReadPolicyNamed", (view, accountId: AccountId, name: string) =>
  findByName(view, accountId, name),
)

export const readPolicyUse = query("ReadPolicyUse", (view, accountId: AccountId, arn: string) =>
  policyUseOf(view, accountId, arn),
)

/** The account's own policies. Throws `noSuchAccount`. */
export const readPolicies = query(
  "ReadPolicies",
  (view, accountId: AccountId, start: RowKey): RecordPage<UsedPolicy> => {
    const account = findAccount(view, accountId)
    if (account === undefined) throw fail("noSuchAccount", { account: accountId })
    return readPage(view, "managedPolicies", accountRange(accountId), start, (_key, value) => {
      const record = decodeManagedPolicy(value)
      return { record, use: policyUseOf(view, accountId, policyArn(account.number, record)) }
    })
  },
)

/** Throws `noSuchEntity`. */
export const readProvider = query("ReadProvider", (view, accountId: AccountId, url: string) =>
  needProvider(view, accountId, url),
)

export const readProviders = query("ReadProviders", (view, accountId: AccountId) => providersOf(view, accountId))
