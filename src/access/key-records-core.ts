/** Queries of the records by which a key or a session is known: all of them read in one moment. Pure. */
import type { AccessKeyId, AccountId } from "../base/ids.js"
import type { AccessKeyRecord, IdentityRecord } from "../format/identity-records.js"
import type { AccountRecord } from "../format/records.js"
import type { SessionRoot } from "../format/session-token.js"
import { query, type RowView } from "../metadata/index.js"
import { findAccessKey } from "./account-commands-core.js"
import { findAccount } from "./find-account-core.js"
import { attachedTexts, findText, type AttachedTexts, type PolicyText } from "./identities/attached-texts-core.js"
import { findIdentity } from "./identities/identity-commands-core.js"
import { findProvider } from "./identities/provider-commands-core.js"

/** The key that the operator starts with: it has no row. */
export interface RootKeyRef {
  readonly accessKeyId: AccessKeyId
  readonly accountId: AccountId
}

interface KeyRecords {
  /** Undefined: the key that the operator starts with. */
  readonly key: AccessKeyRecord | undefined
  readonly account: AccountRecord
  /** Undefined: the key is the account's own, of its root. */
  readonly user: IdentityRecord | undefined
}

/** The records of a key whose account and user exist, and which has not been disabled. It may have expired. */
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
  /** Of the user. */
  readonly attached: AttachedTexts | undefined
}

/** Undefined: there is no such key, or it is disabled. */
export const readKey = query("ReadKey", (view, id: AccessKeyId, root: RootKeyRef): KeyAnswer | undefined => {
  const found = findKeyRecords(view, id, root)
  if (found === undefined) return undefined
  const { account, user } = found
  return { ...found, attached: user && attachedTexts(view, account.id, user) }
})

/** Something that a session came about by, and ends with. */
interface RootState {
  readonly exists: boolean
  /** Undefined: never. */
  readonly expiresMs: number | undefined
}

function rootState(view: RowView, root: SessionRoot, rootKey: RootKeyRef): RootState {
  switch (root.kind) {
    case "key": {
      const found = findKeyRecords(view, root.id, rootKey)
      return { exists: found !== undefined, expiresMs: found?.key?.service?.expiresMs }
    }
    case "role": {
      const role = findIdentity(view, { accountId: root.accountId, kind: "role", name: root.name })
      return { exists: role?.id === root.id, expiresMs: undefined }
    }
    case "provider":
      return { exists: findProvider(view, root.accountId, root.url) !== undefined, expiresMs: undefined }
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
  /** One for each of `policyArns`; undefined: it has been deleted. */
  readonly limits: readonly (PolicyText | undefined)[]
}

/** Undefined: there is no such role. */
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
