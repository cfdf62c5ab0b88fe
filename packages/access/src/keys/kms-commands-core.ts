/** Commands on named keys and their aliases. Pure decisions on the tablet's own rows. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { AccountId, KmsKeyId, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeKmsAlias,
  decodeKmsKey,
  encodeKmsAlias,
  encodeKmsKey,
  type KmsAliasRecord,
  type KmsKeyRecord,
} from "@hayloft/engine/format/accounts/kms-records.js"
import { accountRange, accountRowKey, textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, deletionsOf, query, type RowView } from "@hayloft/engine/metadata/index.js"
import { changeKey, type KeyChange } from "./change-key-core.js"
import { S3_ALIAS } from "./key-names.js"
import { ALL_KEYS, deletedKeyRow } from "./kms-queries-core.js"
import { NAMED_KEY_LIMITS } from "./limits.js"

const keyRow = (id: KmsKeyId): RowKey => textRowKey(id)
const aliasRow = (accountId: AccountId, name: string): RowKey => accountRowKey(accountId, name)

function findKmsKey(view: RowView, id: KmsKeyId): KmsKeyRecord | undefined {
  const row = view.get("kmsKeys", keyRow(id))
  return row && decodeKmsKey(row.value)
}

function findKmsAlias(view: RowView, accountId: AccountId, name: string): KmsAliasRecord | undefined {
  const row = view.get("kmsAliases", aliasRow(accountId, name))
  return row && decodeKmsAlias(row.value)
}

const noSuchKey = (id: string): Failure => fail("noSuchKmsKey", { message: `Key '${id}' does not exist` })

function needKey(view: RowView, id: KmsKeyId): KmsKeyRecord {
  const key = findKmsKey(view, id)
  if (key === undefined) throw noSuchKey(id)
  return key
}

const keyWrite = (key: KmsKeyRecord): EntryWrite => ({
  family: "kmsKeys",
  key: keyRow(key.id),
  value: encodeKmsKey(key),
})

const aliasWrite = (accountId: AccountId, name: string, alias: KmsAliasRecord | undefined): EntryWrite => ({
  family: "kmsAliases",
  key: aliasRow(accountId, name),
  value: alias && encodeKmsAlias(alias),
})

type Holder = Pick<KmsKeyRecord, "accountId" | "external">

/** Checks that there may be one more key, or version of a key, like this. */
function checkLimits(view: RowView, { accountId, external }: Holder): void {
  const { externalMax, versionsMax, versionsPerAccountMax } = NAMED_KEY_LIMITS
  const keys = Array.from(view.range("kmsKeys", ALL_KEYS), ([, row]) => decodeKmsKey(row.value))
  const builtIn = keys.filter(key => key.external === undefined)
  if (external !== undefined) {
    if (keys.length - builtIn.length >= externalMax)
      throw limitExceeded(`The store has ${externalMax} registered keys, the most it can.`)
    return
  }
  if (versionsOf(builtIn.filter(key => key.accountId === accountId)) >= versionsPerAccountMax)
    throw limitExceeded(`The account has ${versionsPerAccountMax} versions of keys, the most it can.`)
  if (versionsOf(builtIn) >= versionsMax)
    throw limitExceeded(`The store has ${versionsMax} versions of keys, the most it can.`)
}

const versionsOf = (keys: readonly KmsKeyRecord[]): number => keys.reduce((sum, key) => sum + key.versions.length, 0)
const limitExceeded = (message: string): Failure => fail("limitExceeded", { message })

/** The first alias of a key. `isNew`: no key of the account may have it; otherwise that key is taken instead. */
interface FirstAlias {
  readonly name: string
  readonly isNew: boolean
}

function checkNew(view: RowView, holder: Holder, alias: FirstAlias | undefined): void {
  if (alias?.isNew === true && findKmsAlias(view, holder.accountId, alias.name) !== undefined)
    throw aliasExists(alias.name)
  // Any number of other keys leaves room for those that accounts need to use S3.
  if (alias?.name !== S3_ALIAS) checkLimits(view, holder)
}

/**
 * Checks that a new key, or a version of one, would be taken, before its material is made. Throws as `createKmsKey`.
 */
export const checkNewMaterial = query("CheckNewMaterial", (view, holder: Holder, alias: FirstAlias | undefined): void =>
  checkNew(view, holder, alias),
)

export type NewKmsKey = Omit<KmsKeyRecord, "state" | "deletionMs" | "rotation" | "versions">

/** Returns the new key, or that of an alias that need not be new. Throws `limitExceeded`, `entityExists`. */
export const createKmsKey = command<[key: NewKmsKey, alias: FirstAlias | undefined], KmsKeyRecord>({
  name: "CreateKmsKey",
  touches: key => [
    ["kmsKeys", keyRow(key.id)],
    ["kmsKeys", deletedKeyRow(key.id)],
  ],
  decide(view, { nowMs }, newKey, alias) {
    const named = alias?.isNew === false ? findKmsAlias(view, newKey.accountId, alias.name) : undefined
    if (named !== undefined) return { writes: [], result: needKey(view, named.keyId) }
    const isKnown = findKmsKey(view, newKey.id) !== undefined
    if (isKnown || view.get("kmsKeys", deletedKeyRow(newKey.id)) !== undefined)
      throw fail("entityExists", { message: "A key has this id already." })
    checkNew(view, newKey, alias)
    const key: KmsKeyRecord = {
      ...newKey,
      state: "enabled",
      deletionMs: undefined,
      rotation: undefined,
      versions: [{ createdMs: nowMs, isOnDemand: false }],
    }
    const writes = [keyWrite(key)]
    if (alias !== undefined) {
      writes.push(aliasWrite(newKey.accountId, alias.name, { keyId: key.id, createdMs: nowMs, updatedMs: nowMs }))
    }
    return { writes, result: key }
  },
})

/** Adds a key of another store, as it was there, unless there is one of its id. */
export const restoreKmsKey = command<[key: KmsKeyRecord], void>({
  name: "RestoreKmsKey",
  touches: key => [["kmsKeys", keyRow(key.id)]],
  decide(view, _time, key) {
    const isThere = findKmsKey(view, key.id) !== undefined
    // The key ring has room for the materials of a built-in one: they are in it already.
    if (!isThere && key.external !== undefined) checkLimits(view, key)
    return { writes: isThere ? [] : [keyWrite(key)], result: undefined }
  },
})

/** On a full store a key can be disabled, and kept from its deletion, which would go on there. */
const ON_FULL_STORES: readonly KeyChange["kind"][] = ["disable", "scheduleDeletion", "cancelDeletion", "stopRotation"]

/** Throws `noSuchKmsKey` and what `changeKey` throws. */
export const changeKmsKey = command<[id: KmsKeyId, change: KeyChange], KmsKeyRecord>({
  name: "ChangeKmsKey",
  grows: (_id, { kind }) => !ON_FULL_STORES.includes(kind),
  touches: id => [["kmsKeys", keyRow(id)]],
  decide(view, { nowMs }, id, change) {
    const key = changeKey(needKey(view, id), change, nowMs)
    if (change.kind === "rotate") checkLimits(view, key)
    return { writes: [keyWrite(key)], result: key }
  },
})

/**
 * Deletes a key whose time has come, and its aliases. Returns whether it did. The row of a built-in key moves: it says
 * that the materials are to be removed, until they are.
 *
 * `countedIn`: how often the metadata had been reconciled when the uses of the key were counted. Nothing happens if it
 * was reconciled since: versions may have come back.
 */
export const deleteKmsKey = command<[id: KmsKeyId, countedIn: number], boolean>({
  name: "DeleteKmsKey",
  grows: false,
  touches: id => [
    ["kmsKeys", keyRow(id)],
    ["kmsKeys", deletedKeyRow(id)],
  ],
  decide(view, { nowMs, incarnations }, id, countedIn) {
    const key = findKmsKey(view, id)
    const isDue = key?.deletionMs !== undefined && key.deletionMs <= nowMs
    if (!isDue || (incarnations.reconciliations ?? 0) !== countedIn) return { writes: [], result: false }
    const aliases = [...view.range("kmsAliases", accountRange(key.accountId))]
      .filter(([, row]) => decodeKmsAlias(row.value).keyId === id)
      .map(([row]): EntryWrite => {
        view.get("kmsAliases", row)
        return { family: "kmsAliases", key: row, value: undefined }
      })
    const writes: EntryWrite[] = [{ family: "kmsKeys", key: keyRow(id), value: undefined }, ...aliases]
    if (key.external === undefined) {
      view.get("kmsKeys", deletedKeyRow(id))
      writes.push({ family: "kmsKeys", key: deletedKeyRow(id), value: encodeKmsKey(key) })
    }
    return { writes, result: true }
  },
})

/** The materials of a deleted key are gone. */
export const forgetDeletedKmsKey = command<[id: KmsKeyId], void>({
  name: "ForgetDeletedKmsKey",
  grows: false,
  touches: id => [["kmsKeys", deletedKeyRow(id)]],
  decide: (view, _time, id) => ({
    writes: deletionsOf(view, [["kmsKeys", deletedKeyRow(id)]]),
    result: undefined,
  }),
})

/** `isNew`: the alias must not exist; otherwise it must. Throws `noSuchKmsKey`, `entityExists`, `limitExceeded`. */
export const putKmsAlias = command<[accountId: AccountId, name: string, keyId: KmsKeyId, isNew: boolean], void>({
  name: "PutKmsAlias",
  touches: (accountId, name, keyId) => [
    ["kmsAliases", aliasRow(accountId, name)],
    ["kmsKeys", keyRow(keyId)],
  ],
  decide(view, { nowMs }, accountId, name, keyId, isNew) {
    const key = needKey(view, keyId)
    if (key.accountId !== accountId) throw noSuchKey(keyId)
    if (key.state === "pendingDeletion") throw fail("kmsKeyState", { message: `${keyId} is pending deletion.` })
    const found = findKmsAlias(view, accountId, name)
    if (isNew && found !== undefined) throw aliasExists(name)
    if (!isNew && found === undefined) throw noSuchAlias(name)
    if (found?.keyId !== keyId) checkAliasCount(view, accountId, keyId)
    const alias = { keyId, createdMs: found?.createdMs ?? nowMs, updatedMs: nowMs }
    return { writes: [aliasWrite(accountId, name, alias)], result: undefined }
  },
})

function checkAliasCount(view: RowView, accountId: AccountId, keyId: KmsKeyId): void {
  const { aliasesPerKeyMax } = NAMED_KEY_LIMITS
  let count = 0
  for (const [, row] of view.range("kmsAliases", accountRange(accountId))) {
    if (decodeKmsAlias(row.value).keyId === keyId) count += 1
  }
  if (count >= aliasesPerKeyMax)
    throw fail("limitExceeded", { message: `A key has at most ${aliasesPerKeyMax} aliases.` })
}

/** Throws `noSuchKmsKey`. */
export const deleteKmsAlias = command<[accountId: AccountId, name: string], void>({
  name: "DeleteKmsAlias",
  grows: false,
  touches: (accountId, name) => [["kmsAliases", aliasRow(accountId, name)]],
  decide(view, _time, accountId, name) {
    if (findKmsAlias(view, accountId, name) === undefined) throw noSuchAlias(name)
    return { writes: [aliasWrite(accountId, name, undefined)], result: undefined }
  },
})

const aliasExists = (name: string): Failure =>
  fail("entityExists", { message: `An alias with the name ${name} already exists` })

const noSuchAlias = (name: string): Failure => fail("noSuchKmsKey", { message: `Alias ${name} is not found.` })
