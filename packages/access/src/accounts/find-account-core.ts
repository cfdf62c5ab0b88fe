/** Finds accounts by id and by number in the rows. Pure. */
import type { AccountId, AccountNumber } from "@hayloft/base/ids.js"
import { decodeAccount, decodeAccountId, type AccountRecord } from "@hayloft/engine/format/records.js"
import { textRowKey } from "@hayloft/engine/format/row-key.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"

export function findAccount(view: RowView, id: AccountId): AccountRecord | undefined {
  const row = view.get("accounts", textRowKey(id))
  return row && decodeAccount(row.value)
}

export function findAccountId(view: RowView, number: AccountNumber): AccountId | undefined {
  const row = view.get("accountNumbers", textRowKey(number))
  return row && decodeAccountId(row.value)
}
