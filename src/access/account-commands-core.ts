/** Commands on accounts and keys. Pure decisions on the tablet's own rows. */
import { fail } from "../base/failures.js"
import type { AccessKeyId, AccountId, AccountNumber } from "../base/ids.js"
import { accountNumberOf, nextAccountNumber } from "../format/account-number.js"
import type { EntryWrite } from "../format/entry.js"
import {
  decodeAccessKey,
  encodeAccessKey,
  encodeIdentity,
  encodeKeyUse,
  type AccessKeyRecord,
  type IdentityRecord,
  type KeyUseRecord,
} from "../format/identity-records.js"
import { encodeAccount, encodeAccountId, type AccountRecord } from "../format/records.js"
import { textRowKey } from "../format/row-key.js"
import type { Command, TabletView } from "../tablet/index.js"
import { findAccount, findAccountId } from "./find-account-core.js"
import { identityRow, keyRemoval, needIdentity, type IdentityRef } from "./identities/identity-commands-core.js"
import { IDENTITY_LIMITS } from "./identities/limits.js"

export function findAccessKey(view: TabletView, id: AccessKeyId): AccessKeyRecord | undefined {
  const row = view.get("accessKeys", textRowKey(id))
  return row && decodeAccessKey(row.value)
}

/** The first that is nobody's, from the one that the id comes to. */
function freeNumber(view: TabletView, id: AccountId): AccountNumber {
  let number = accountNumberOf(id)
  while ((findAccountId(view, number) ?? id) !== id) number = nextAccountNumber(number)
  return number
}

const accountWrites = (record: AccountRecord): EntryWrite[] => [
  { family: "accounts", key: textRowKey(record.id), value: encodeAccount(record) },
  { family: "accountNumbers", key: textRowKey(record.number), value: encodeAccountId(record.id) },
]

export function createAccount(account: Omit<AccountRecord, "createdMs" | "number">): Command<AccountRecord> {
  return {
    name: "CreateAccount",
    touches: [["accounts", textRowKey(account.id)]],
    decide(view, { nowMs }) {
      if (findAccount(view, account.id)) throw fail("accountExists", { account: account.id })
      const record = { ...account, createdMs: nowMs, number: freeNumber(view, account.id) }
      return { writes: accountWrites(record), result: record }
    },
  }
}

/** Gives its number to an account that was made before there were any. */
export function numberAccount(id: AccountId): Command<void> {
  return {
    name: "NumberAccount",
    touches: [["accounts", textRowKey(id)]],
    decide(view) {
      const record = findAccount(view, id)
      if (record === undefined || findAccountId(view, record.number) === id) return { writes: [], result: undefined }
      return { writes: accountWrites({ ...record, number: freeNumber(view, id) }), result: undefined }
    },
  }
}

/** Whose a key is; without a user, the root's. */
export interface KeyOwner {
  readonly accountId: AccountId
  readonly userName: string | undefined
}

export const isOwnedBy = (key: AccessKeyRecord, { accountId, userName }: KeyOwner): boolean =>
  key.accountId === accountId && key.userName?.toLowerCase() === userName?.toLowerCase()

const userOf = ({ accountId, userName }: KeyOwner): IdentityRef | undefined =>
  userName === undefined ? undefined : { accountId, kind: "user", name: userName }

type NewKey = Omit<AccessKeyRecord, "createdMs" | "isActive">

/** Throws `noSuchAccount`, `noSuchEntity`, `accessKeyExists`, `limitExceeded`. */
export function addAccessKey(id: AccessKeyId, key: NewKey): Command<AccessKeyRecord> {
  const userRef = userOf(key)
  return {
    name: "AddAccessKey",
    touches: [["accessKeys", textRowKey(id)], ...(userRef ? [["identities", identityRow(userRef)] as const] : [])],
    decide(view, { nowMs }) {
      if (!findAccount(view, key.accountId)) throw fail("noSuchAccount", { account: key.accountId })
      if (findAccessKey(view, id)) throw fail("accessKeyExists", { key: id })
      const user = userRef && needIdentity(view, userRef)
      const record = { ...key, createdMs: nowMs, isActive: true, userName: user?.name }
      const writes: EntryWrite[] = [{ family: "accessKeys", key: textRowKey(id), value: encodeAccessKey(record) }]
      if (user && userRef) {
        checkRoom(view, user, record)
        const value = encodeIdentity({ ...user, keys: [...user.keys, id] })
        writes.push({ family: "identities", key: identityRow(userRef), value })
      }
      return { writes, result: record }
    },
  }
}

function checkRoom(view: TabletView, user: IdentityRecord, { service }: AccessKeyRecord): void {
  const isService = service !== undefined
  const alike = user.keys.filter(id => (findAccessKey(view, id)?.service !== undefined) === isService)
  const max = isService ? IDENTITY_LIMITS.serviceKeysPerUser : IDENTITY_LIMITS.accessKeysPerUser
  if (alike.length < max) return
  throw fail("limitExceeded", { message: `Cannot exceed quota for AccessKeysPerUser: ${max}` })
}

/** A key, if it is this owner's where one is named. Throws `noSuchAccessKey`. */
function needKey(view: TabletView, id: AccessKeyId, owner: KeyOwner | undefined): AccessKeyRecord {
  const key = findAccessKey(view, id)
  if (key === undefined || (owner && !isOwnedBy(key, owner))) throw fail("noSuchAccessKey", { key: id })
  return key
}

export function dropAccessKey(id: AccessKeyId, owner: KeyOwner | undefined): Command<void> {
  return {
    name: "DropAccessKey",
    grows: false,
    touches: [["accessKeys", textRowKey(id)]],
    decide(view) {
      const userRef = userOf(needKey(view, id, owner))
      const writes = [...keyRemoval(id)]
      if (userRef) {
        const user = needIdentity(view, userRef)
        const value = encodeIdentity({ ...user, keys: user.keys.filter(other => other !== id) })
        writes.push({ family: "identities", key: identityRow(userRef), value })
      }
      return { writes, result: undefined }
    },
  }
}

export function setKeyActive(id: AccessKeyId, isActive: boolean, owner: KeyOwner | undefined): Command<void> {
  return {
    name: "SetKeyActive",
    grows: false,
    touches: [["accessKeys", textRowKey(id)]],
    decide(view) {
      const value = encodeAccessKey({ ...needKey(view, id, owner), isActive })
      return { writes: [{ family: "accessKeys", key: textRowKey(id), value }], result: undefined }
    },
  }
}

export type KeyUse = KeyUseRecord & { readonly id: AccessKeyId }

/** Notes when keys were used last; of keys that are gone nothing is kept. `rootKey` has no row. */
export function noteKeyUses(uses: readonly KeyUse[], rootKey: AccessKeyId): Command<void> {
  return {
    name: "NoteKeyUses",
    touches: uses.map(({ id }) => ["accessKeys", textRowKey(id)]),
    decide(view) {
      const writes = uses
        .filter(({ id }) => id === rootKey || findAccessKey(view, id) !== undefined)
        .map(({ id, ...use }): EntryWrite => ({ family: "keyUses", key: textRowKey(id), value: encodeKeyUse(use) }))
      return { writes, result: undefined }
    },
  }
}
