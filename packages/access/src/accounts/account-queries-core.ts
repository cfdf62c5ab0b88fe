/** Queries of accounts, access keys and assumable roles. Their results contain no secret. Pure. */
import { parseAccessKeyId, parseAccountNumber } from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId, AccountNumber, RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import {
  decodeAccessKey,
  decodeKeyUse,
  type AccessKeyRecord,
  type IdentityRecord,
  type KeyUseRecord,
  type RoleTerms,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { decodeAccount, type AccountRecord } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { findAccessKey, isOwnedBy } from "./account-commands-core.js"
import type { AccessKey, KeyOwner } from "../contract.js"
import { findAccount, findAccountId } from "./find-account-core.js"
import { findIdentity } from "../identities/identity-commands-core.js"
import { findPolicy } from "../identities/managed-policy-commands-core.js"
import { parseIdentityArn } from "../identities/names.js"
import { readPage, type RecordPage } from "./record-pages-core.js"

export const readAccount = query("ReadAccount", (view, id: AccountId): AccountRecord | undefined =>
  findAccount(view, id),
)

export const readAccountOfNumber = query("ReadAccountOfNumber", (view, number: AccountNumber) => {
  const id = findAccountId(view, number)
  return id && findAccount(view, id)
})

export const readAccounts = query("ReadAccounts", (view, start: RowKey): RecordPage<AccountRecord> =>
  readPage(view, "accounts", ALL_ROWS, start, (_key, value) => decodeAccount(value)),
)

interface NumberedAccount {
  readonly id: AccountId
  /** False if an earlier release created the account and no row maps its number to it yet. */
  readonly hasNumber: boolean
}

export const readNumberedAccounts = query("ReadNumberedAccounts", (view, start: RowKey): RecordPage<NumberedAccount> =>
  readPage(view, "accounts", ALL_ROWS, start, (_key, value) => {
    const { id, number } = decodeAccount(value)
    return { id, hasNumber: findAccountId(view, number) === id }
  }),
)

/** The public part of a key record. */
export function keyOf(id: AccessKeyId, record: AccessKeyRecord): AccessKey {
  const { accountId, createdMs, isActive, userName, service, limits } = record
  const key = { id, accountId, createdMs, isActive, userName, service }
  return limits === undefined ? key : { ...key, limits }
}

export const readAccessKey = query("ReadAccessKey", (view, id: AccessKeyId): AccessKey | undefined => {
  const record = findAccessKey(view, id)
  return record && keyOf(id, record)
})

interface SealedKey {
  readonly id: AccessKeyId
  readonly sealed: Uint8Array
}

export const readAccessKeys = query("ReadAccessKeys", (view, start: RowKey): RecordPage<AccessKey> =>
  readPage(view, "accessKeys", ALL_ROWS, start, (key, value) => keyOf(parseAccessKeyId(key), decodeAccessKey(value))),
)

export const readSealedKeys = query("ReadSealedKeys", (view, start: RowKey): RecordPage<SealedKey> =>
  readPage(view, "accessKeys", ALL_ROWS, start, (key, value) => ({
    id: parseAccessKeyId(key),
    sealed: Uint8Array.from(decodeAccessKey(value).sealedSecret),
  })),
)

export const readKeysOfUser = query(
  "ReadKeysOfUser",
  (view, accountId: AccountId, userName: string): readonly AccessKey[] => {
    const owner: KeyOwner = { accountId, userName }
    const user = findIdentity(view, { accountId, kind: "user", name: userName })
    return (user?.keys ?? []).flatMap(id => {
      const record = findAccessKey(view, id)
      return record && isOwnedBy(record, owner) ? [keyOf(id, record)] : []
    })
  },
)

export const readKeyUse = query("ReadKeyUse", (view, id: AccessKeyId): KeyUseRecord | undefined => {
  const row = view.get("keyUses", textRowKey(id))
  return row && decodeKeyUse(row.value)
})

/** The uses of admin tokens are between those of access keys: their ids are not ids of keys. */
export const readKeyUses = query(
  "ReadKeyUses",
  (view, start: RowKey): RecordPage<{ readonly id: string; readonly use: KeyUseRecord }> =>
    readPage(view, "keyUses", ALL_ROWS, start, (id, value) => ({ id, use: decodeKeyUse(value) })),
)

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
