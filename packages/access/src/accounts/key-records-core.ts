/** Queries of the records that identify a key or a session, all read in one snapshot. Pure. */
import type { AccessKeyId, AccountId } from "@hayloft/base/ids.js"
import type { AccessKeyRecord, IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { AccountRecord } from "@hayloft/engine/format/records.js"
import type { SessionRoot } from "@hayloft/engine/format/accounts/session-token.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import { findAccessKey } from "./account-commands-core.js"
import { findAccount } from "./find-account-core.js"
import {
  attachedTexts,
  entryTexts,
  findText,
  type AttachedTexts,
  type PolicyText,
} from "../identities/attached-texts-core.js"
import { findIdentity } from "../identities/identity-commands-core.js"
import { findProvider } from "../identities/provider-commands-core.js"

/** The root key of the store, which the operator configures: it has no row. */
export interface RootKeyRef {
  readonly accessKeyId: AccessKeyId
  readonly accountId: AccountId
}

interface KeyRecords {
  /** The key is undefined for the store's root key. */
  readonly key: AccessKeyRecord | undefined
  readonly account: AccountRecord
  /** The user is undefined if the key belongs to the account's root. */
  readonly user: IdentityRecord | undefined
}

/** The records of an enabled key whose account and user exist. The key may have expired. */
function findKeyRecords(view: RowView, id: AccessKeyId, root: RootKeyRef): KeyRecords | undefined {
  const key = id === root.accessKeyId ? undefined : findAccessKey(view, id)
  if (id !== root.accessKeyId && key?.isActive !== true) return undefined
  const account = findAccount(view, key?.accountId ?? root.accountId)
  if (account === undefined) return undefined
  if (key?.userName === undefined) return { key, account, user: undefined }
  const user = findIdentity(view, { accountId: account.id, kind: "user", name: key.userName })
  return user && { key, account, user }
}

export interface KeyAnswer extends KeyRecords {
  /** The policies of the user. */
  readonly attached: AttachedTexts | undefined
}

/** Returns undefined if there is no such key, or it is disabled. */
export const readKey = query("ReadKey", (view, id: AccessKeyId, root: RootKeyRef): KeyAnswer | undefined => {
  const found = findKeyRecords(view, id, root)
  if (found === undefined) return undefined
  const { account, user } = found
  return { ...found, attached: user && attachedTexts(view, account.id, user) }
})

interface PersonAnswer {
  readonly account: AccountRecord
  /** The policies of the person and of the person's groups. */
  readonly attached: AttachedTexts
}

/** The policies that entries of a directory with these DNs have in the account. Undefined if none of them has a policy. */
export const readPerson = query(
  "ReadPerson",
  (view, accountId: AccountId, dns: readonly string[]): PersonAnswer | undefined => {
    const account = findAccount(view, accountId)
    const identity = dns.flatMap(dn => entryTexts(view, accountId, dn))
    return account && identity.length > 0 ? { account, attached: { identity, boundary: undefined } } : undefined
  },
)

/** The state of a key, role or provider that a session depends on. */
export interface RootState {
  readonly exists: boolean
  /** The expiry is undefined if it never expires. */
  readonly expiresMs: number | undefined
  /** Whose limits of rates apply to what is derived from it. Undefined if it does not exist. */
  readonly account: AccountRecord | undefined
  /** The key is undefined for others than keys, and for the store's root key. */
  readonly key: AccessKeyRecord | undefined
}

function rootState(view: RowView, root: SessionRoot, rootKey: RootKeyRef): RootState {
  const accountOf = ({ accountId }: { readonly accountId: AccountId }) => findAccount(view, accountId)
  switch (root.kind) {
    case "key": {
      const found = findKeyRecords(view, root.id, rootKey)
      const { key, account } = found ?? { key: undefined, account: undefined }
      return { exists: found !== undefined, expiresMs: key?.service?.expiresMs, account, key }
    }
    case "role": {
      const role = findIdentity(view, { accountId: root.accountId, kind: "role", name: root.name })
      return { exists: role?.id === root.id, expiresMs: undefined, account: accountOf(root), key: undefined }
    }
    case "provider": {
      const exists = findProvider(view, root.accountId, root.url) !== undefined
      return { exists, expiresMs: undefined, account: accountOf(root), key: undefined }
    }
  }
}

interface RoleSessionRequest {
  readonly accountId: AccountId
  readonly roleName: string
  readonly roots: readonly SessionRoot[]
  /** Managed policies that limit the session. */
  readonly policyArns: readonly string[]
  readonly rootKey: RootKeyRef
}

export interface RoleSessionAnswer {
  readonly account: AccountRecord
  readonly role: IdentityRecord
  readonly attached: AttachedTexts
  readonly roots: readonly RootState[]
  /** One for each of `policyArns`; undefined if the policy was deleted. */
  readonly limits: readonly (PolicyText | undefined)[]
}

/** Returns undefined if there is no such role. */
export const readRoleSession = query(
  "ReadRoleSession",
  (view, { accountId, roleName, roots, policyArns, rootKey }: RoleSessionRequest): RoleSessionAnswer | undefined => {
    const account = findAccount(view, accountId)
    const role = findIdentity(view, { accountId, kind: "role", name: roleName })
    if (account === undefined || role === undefined) return undefined
    return {
      account,
      role,
      attached: attachedTexts(view, accountId, role),
      roots: roots.map(root => rootState(view, root, rootKey)),
      limits: policyArns.map(arn => findText(view, accountId, arn, "session: ")),
    }
  },
)
