/** Commands on accounts and keys. Pure decisions on the tablet's own rows. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccessKeyId, AccountId, AccountNumber } from "@hayloft/base/ids.js"
import { accountNumberOf, nextAccountNumber } from "@hayloft/engine/format/accounts/account-number.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeAccessKey,
  encodeAccessKey,
  encodeIdentity,
  encodeKeyUse,
  type AccessKeyRecord,
  type IdentityRecord,
  type KeyUseRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import type { RateLimits } from "@hayloft/engine/format/accounts/rate-limits.js"
import { encodeAccount, encodeAccountId, type AccountRecord } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import { findAccount, findAccountId } from "./find-account-core.js"
import { identityRow, keyRemoval, needIdentity } from "../identities/identity-commands-core.js"
import { IDENTITY_LIMITS } from "../identities/limits.js"
import type { IdentityRef } from "../contract.js"

export function findAccessKey(view: RowView, id: AccessKeyId): AccessKeyRecord | undefined {
  const row = view.get("accessKeys", textRowKey(id))
  return row && decodeAccessKey(row.value)
}

/** The first unused account number, starting with the one derived from the id. */
function freeNumber(view: RowView, id: AccountId): AccountNumber {
  let number = accountNumberOf(id)
  while ((findAccountId(view, number) ?? id) !== id) number = nextAccountNumber(number)
  return number
}

const accountWrites = (record: AccountRecord): EntryWrite[] => [
  { family: "accounts", key: textRowKey(record.id), value: encodeAccount(record) },
  { family: "accountNumbers", key: textRowKey(record.number), value: encodeAccountId(record.id) },
]

export const createAccount = command<[account: Omit<AccountRecord, "createdMs" | "number">], AccountRecord>({
  name: "CreateAccount",
  touches: account => [["accounts", textRowKey(account.id)]],
  decide(view, { nowMs }, account) {
    if (findAccount(view, account.id)) throw fail("accountExists", { account: account.id })
    const record = { ...account, createdMs: nowMs, number: freeNumber(view, account.id) }
    return { writes: accountWrites(record), result: record }
  },
})

/** Assigns a number to an account that was created before accounts had numbers. */
export const numberAccount = command<[id: AccountId], void>({
  name: "NumberAccount",
  touches: id => [["accounts", textRowKey(id)]],
  decide(view, _time, id) {
    const record = findAccount(view, id)
    if (record === undefined || findAccountId(view, record.number) === id) return { writes: [], result: undefined }
    return { writes: accountWrites({ ...record, number: freeNumber(view, id) }), result: undefined }
  },
})

/** The owner of a key: a user, or without a user the account's root. */
interface KeyOwner {
  readonly accountId: AccountId
  readonly userName: string | undefined
}

export const isOwnedBy = (key: AccessKeyRecord, { accountId, userName }: KeyOwner): boolean =>
  key.accountId === accountId && key.userName?.toLowerCase() === userName?.toLowerCase()

const userOf = ({ accountId, userName }: KeyOwner): IdentityRef | undefined =>
  userName === undefined ? undefined : { accountId, kind: "user", name: userName }

type NewKey = Omit<AccessKeyRecord, "createdMs" | "isActive">

/** Throws `noSuchAccount`, `noSuchEntity`, `accessKeyExists`, `limitExceeded`. */
export const addAccessKey = command<[id: AccessKeyId, key: NewKey], AccessKeyRecord>({
  name: "AddAccessKey",
  touches(id, key) {
    const userRef = userOf(key)
    const user: Touches = userRef === undefined ? [] : [["identities", identityRow(userRef)]]
    return [["accessKeys", textRowKey(id)], ...user]
  },
  decide(view, { nowMs }, id, key) {
    const userRef = userOf(key)
    if (!findAccount(view, key.accountId)) throw fail("noSuchAccount", { account: key.accountId })
    if (findAccessKey(view, id)) throw fail("accessKeyExists", { key: id })
    const user = userRef && needIdentity(view, userRef)
    const record = { ...key, createdMs: nowMs, isActive: true, userName: user?.name }
    const writes: EntryWrite[] = [{ family: "accessKeys", key: textRowKey(id), value: encodeAccessKey(record) }]
    if (user && userRef) {
      checkKeyQuota(view, user, record)
      const value = encodeIdentity({ ...user, keys: [...user.keys, id] })
      writes.push({ family: "identities", key: identityRow(userRef), value })
    }
    return { writes, result: record }
  },
})

function checkKeyQuota(view: RowView, user: IdentityRecord, { service }: AccessKeyRecord): void {
  const isService = service !== undefined
  const sameKind = user.keys.filter(id => (findAccessKey(view, id)?.service !== undefined) === isService)
  const max = isService ? IDENTITY_LIMITS.serviceKeysPerUser : IDENTITY_LIMITS.accessKeysPerUser
  if (sameKind.length < max) return
  throw fail("limitExceeded", { message: `Cannot exceed quota for AccessKeysPerUser: ${max}` })
}

/** The key; if an owner is given, only if it owns the key. Throws `noSuchAccessKey`. */
function needKey(view: RowView, id: AccessKeyId, owner: KeyOwner | undefined): AccessKeyRecord {
  const key = findAccessKey(view, id)
  if (key === undefined || (owner && !isOwnedBy(key, owner))) throw fail("noSuchAccessKey", { key: id })
  return key
}

export const dropAccessKey = command<[id: AccessKeyId, owner: KeyOwner | undefined], void>({
  name: "DropAccessKey",
  grows: false,
  touches: id => [["accessKeys", textRowKey(id)]],
  decide(view, _time, id, owner) {
    const userRef = userOf(needKey(view, id, owner))
    const writes = keyRemoval(view, id)
    if (userRef) {
      const user = needIdentity(view, userRef)
      const value = encodeIdentity({ ...user, keys: user.keys.filter(other => other !== id) })
      writes.push({ family: "identities", key: identityRow(userRef), value })
    }
    return { writes, result: undefined }
  },
})

export const setKeyActive = command<[id: AccessKeyId, isActive: boolean, owner: KeyOwner | undefined], void>({
  name: "SetKeyActive",
  grows: false,
  touches: id => [["accessKeys", textRowKey(id)]],
  decide(view, _time, id, isActive, owner) {
    const value = encodeAccessKey({ ...needKey(view, id, owner), isActive })
    return { writes: [{ family: "accessKeys", key: textRowKey(id), value }], result: undefined }
  },
})

type ChangedKey = Pick<AccessKeyRecord, "service"> & { readonly sealedSecret: Uint8Array | undefined }

/**
 * Replaces the terms of a key, and its secret if there is a new one, also on a full store: a key may have to end sooner, or its
 * secret may be known to others. Throws `noSuchAccessKey`.
 */
export const changeAccessKey = command<[id: AccessKeyId, changed: ChangedKey], void>({
  name: "ChangeAccessKey",
  grows: false,
  touches: id => [["accessKeys", textRowKey(id)]],
  decide(view, _time, id, { service, sealedSecret }) {
    const key = needKey(view, id, undefined)
    if ((key.service === undefined) !== (service === undefined))
      throw fail("invalidRequest", { message: "a key does not become one with terms of its own, and keeps such" })
    const value = encodeAccessKey({ ...key, service, sealedSecret: sealedSecret ?? key.sealedSecret })
    return { writes: [{ family: "accessKeys", key: textRowKey(id), value }], result: undefined }
  },
})

/** Replaces the limits of an account, also of one that fills the store; undefined removes them. Throws `noSuchAccount`. */
export const limitAccount = command<[id: AccountId, limits: RateLimits | undefined], void>({
  name: "LimitAccount",
  grows: false,
  touches: id => [["accounts", textRowKey(id)]],
  decide(view, _time, id, limits) {
    const account = findAccount(view, id)
    if (account === undefined) throw fail("noSuchAccount", { account: id })
    const value = encodeAccount({ ...account, limits })
    return { writes: [{ family: "accounts", key: textRowKey(id), value }], result: undefined }
  },
})

/** Replaces the limits of a key; undefined removes them. Throws `noSuchAccessKey`. */
export const limitAccessKey = command<[id: AccessKeyId, limits: RateLimits | undefined], void>({
  name: "LimitAccessKey",
  grows: false,
  touches: id => [["accessKeys", textRowKey(id)]],
  decide(view, _time, id, limits) {
    const value = encodeAccessKey({ ...needKey(view, id, undefined), limits })
    return { writes: [{ family: "accessKeys", key: textRowKey(id), value }], result: undefined }
  },
})

/** Does nothing to a key that was deleted, or whose secret is another one by now. */
export const resealAccessKey = command<[id: AccessKeyId, before: Uint8Array, sealedSecret: Uint8Array], void>({
  name: "ResealAccessKey",
  grows: false,
  touches: id => [["accessKeys", textRowKey(id)]],
  decide(view, _time, id, before, sealedSecret) {
    const key = findAccessKey(view, id)
    if (key === undefined || !equalBytes(key.sealedSecret, before)) return { writes: [], result: undefined }
    const value = encodeAccessKey({ ...key, sealedSecret })
    return { writes: [{ family: "accessKeys", key: textRowKey(id), value }], result: undefined }
  },
})

export type KeyUse = KeyUseRecord & { readonly id: AccessKeyId }

/** Records the last use of keys; uses of deleted keys are dropped. `rootKey` has no row. */
export const noteKeyUses = command<[uses: readonly KeyUse[], rootKey: AccessKeyId], void>({
  name: "NoteKeyUses",
  touches: uses =>
    uses.flatMap(({ id }): Touches => [
      ["accessKeys", textRowKey(id)],
      ["keyUses", textRowKey(id)],
    ]),
  decide(view, _time, uses, rootKey) {
    const writes = uses
      .filter(({ id }) => id === rootKey || findAccessKey(view, id) !== undefined)
      .map(({ id, ...use }): EntryWrite => ({ family: "keyUses", key: textRowKey(id), value: encodeKeyUse(use) }))
    for (const { key } of writes) view.get("keyUses", key)
    return { writes, result: undefined }
  },
})
