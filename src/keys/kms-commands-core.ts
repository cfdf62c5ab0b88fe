/** Commands on named keys and their aliases. Pure decisions on the tablet's own rows. */
import { fail, type Failure } from "../base/failures.js"
import type { AccountId, KmsKeyId, RowKey } from "../base/ids.js"
import type { EntryWrite } from "../format/entry.js"
import {
  decodeKmsAlias,
  decodeKmsKey,
  encodeKmsAlias,
  encodeKmsKey,
  type KmsAliasRecord,
  type KmsKeyRecord,
} from "../format/kms-records.js"
import { accountRange, accountRowKey, textRowKey } from "../format/row-key.js"
import { command, deletionsOf, query, type RowView } from "../metadata/index.js"
import { changeKey, type KeyChange } from "./change-key-core.js"
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

function checkCount(view: RowView, { external }: Pick<KmsKeyRecord, "external">): void {
  let count = 0
  for (const [, row] of view.range("kmsKeys", ALL_KEYS)) {
    const isExternal = decodeKmsKey(row.value).external !== undefined
    if (isExternal === (external !== undefined)) count += 1
  }
  const max = external === undefined ? NAMED_KEY_LIMITS.builtInMax : NAMED_KEY_LIMITS.externalMax
  if (count >= max) throw fail("limitExceeded", { message: `The store has ${max} keys of this kind, the most it can.` })
}

/** Throws `limitExceeded` if the store takes no more built-in keys. */
export const checkKmsKeyCount = query("CheckKmsKeyCount", (view): void => {
  checkCount(view, { external: undefined })
})

export type NewKmsKey = Omit<KmsKeyRecord, "state" | "deletionMs" | "rotation" | "versions">

/**
 * With an alias: unless the account has that alias already; then its key is returned. Throws `limitExceeded`,
 * `entityExists`.
 */
export const createKmsKey = command<[key: NewKmsKey, alias: string | undefined], KmsKeyRecord>({
  name: "CreateKmsKey",
  touches: key => [
    ["kmsKeys", keyRow(key.id)],
    ["kmsKeys", deletedKeyRow(key.id)],
  ],
  decide(view, { nowMs }, newKey, alias) {
    const named = alias === undefined ? undefined : findKmsAlias(view, newKey.accountId, alias)
    if (named !== undefined) return { writes: [], result: needKey(view, named.keyId) }
    const isKnown = findKmsKey(view, newKey.id) !== undefined
    if (isKnown || view.get("kmsKeys", deletedKeyRow(newKey.id)) !== undefined)
      throw fail("entityExists", { message: "A key has this id already." })
    checkCount(view, newKey)
    const key: KmsKeyRecord = {
      ...newKey,
      ...{ state: "enabled", deletionMs: undefined, rotation: undefined },
      versions: [{ createdMs: nowMs, isOnDemand: false }],
    }
    const writes = [keyWrite(key)]
    if (alias !== undefined) {
      writes.push(aliasWrite(newKey.accountId, alias, { keyId: key.id, createdMs: nowMs, updatedMs: nowMs }))
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
    if (!isThere) checkCount(view, key)
    return { writes: isThere ? [] : [keyWrite(key)], result: undefined }
  },
})

/** Throws `noSuchKmsKey` and what `changeKey` throws. */
export const changeKmsKey = command<[id: KmsKeyId, change: KeyChange], KmsKeyRecord>({
  name: "ChangeKmsKey",
  touches: id => [["kmsKeys", keyRow(id)]],
  decide(view, { nowMs }, id, change) {
    const key = changeKey(needKey(view, id), change, nowMs)
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
    if (isNew && found !== undefined)
      throw fail("entityExists", { message: `An alias with the name ${name} already exists` })
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

const noSuchAlias = (name: string): Failure => fail("noSuchKmsKey", { message: `Alias ${name} is not found.` })
