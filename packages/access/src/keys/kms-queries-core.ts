/**
 * Queries of named keys and their aliases. Pure.
 *
 * Limits  A page has at most `KEYS_PER_PAGE` records.
 */
import { rowKeyOf, type AccountId, type KmsKeyId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  decodeKmsAlias,
  decodeKmsKey,
  type KmsAliasRecord,
  type KmsKeyRecord,
} from "@hayloft/engine/format/accounts/kms-records.js"
import { accountRange, accountRowKey, suffixRange, textRowKey } from "@hayloft/engine/format/row-key.js"
import { query } from "@hayloft/engine/metadata/index.js"

/** Key ids are hex digits and hyphens. */
export const ALL_KEYS: KeyRange = { start: rowKeyOf("-"), end: rowKeyOf("g") }
/** Deleted keys whose materials are to be removed have rows behind those. */
const DELETED = "removed "
export const deletedKeyRow = (id: KmsKeyId): RowKey => textRowKey(DELETED + id)
const KEYS_PER_PAGE = 100

/** A key, by its id or by an alias of an account. */
export type KeyName =
  | { readonly kind: "id"; readonly id: KmsKeyId }
  | { readonly kind: "alias"; readonly accountId: AccountId; readonly name: string }

/** Returns undefined if there is no such key or alias. */
export const readKmsKey = query("ReadKmsKey", (view, name: KeyName): KmsKeyRecord | undefined => {
  const alias = name.kind === "alias" ? view.get("kmsAliases", accountRowKey(name.accountId, name.name)) : undefined
  const id = name.kind === "id" ? name.id : alias && decodeKmsAlias(alias.value).keyId
  const row = id && view.get("kmsKeys", textRowKey(id))
  return row && decodeKmsKey(row.value)
})

export interface KmsPage<Item> {
  readonly items: readonly Item[]
  /** It is undefined on the last page. */
  readonly next: RowKey | undefined
}

/** The keys of all accounts, in the order of their ids. */
export const readKmsKeys = query("ReadKmsKeys", (view, start: RowKey): KmsPage<KmsKeyRecord> => {
  const range = start > ALL_KEYS.start ? { ...ALL_KEYS, start } : ALL_KEYS
  return pageOf(view.range("kmsKeys", range), (_key, value) => decodeKmsKey(value))
})

/** Deleted keys whose materials are to be removed: some of them. */
export const readDeletedKmsKeys = query("ReadDeletedKmsKeys", (view): readonly KmsKeyId[] => {
  const range = suffixRange(rowKeyOf(DELETED))
  return pageOf(view.range("kmsKeys", range), (_key, value) => decodeKmsKey(value).id).items
})

export interface NamedAlias extends KmsAliasRecord {
  readonly name: string
}

/** In the order of their names. */
export const readKmsAliases = query(
  "ReadKmsAliases",
  (view, accountId: AccountId, start: RowKey): KmsPage<NamedAlias> => {
    const range = accountRange(accountId)
    return pageOf(view.range("kmsAliases", start > range.start ? { ...range, start } : range), (key, value) => ({
      name: key.slice(accountId.length + 1),
      ...decodeKmsAlias(value),
    }))
  },
)

function pageOf<Item>(
  rows: Iterable<readonly [RowKey, { readonly value: Uint8Array }]>,
  itemOf: (key: RowKey, value: Uint8Array) => Item,
): KmsPage<Item> {
  const items: Item[] = []
  for (const [key, { value }] of rows) {
    if (items.length === KEYS_PER_PAGE) return { items, next: key }
    items.push(itemOf(key, value))
  }
  return { items, next: undefined }
}
