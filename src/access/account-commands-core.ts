/** Commands on accounts and keys. Pure decisions on the tablet's own rows. */
import { fail } from "../base/failures.js"
import type { AccessKeyId, AccountId } from "../base/ids.js"
import { textRowKey } from "../format/row-key.js"
import {
  decodeAccessKey,
  decodeAccount,
  encodeAccessKey,
  encodeAccount,
  type AccessKeyRecord,
  type AccountRecord,
} from "../format/records.js"
import type { Command, TabletView } from "../tablet/index.js"

export function findAccount(view: TabletView, id: AccountId): AccountRecord | undefined {
  const row = view.get("accounts", textRowKey(id))
  return row && decodeAccount(row.value)
}

export function findAccessKey(view: TabletView, id: AccessKeyId): AccessKeyRecord | undefined {
  const row = view.get("accessKeys", textRowKey(id))
  return row && decodeAccessKey(row.value)
}

export function createAccount(account: Omit<AccountRecord, "createdMs">): Command<AccountRecord> {
  return {
    name: "CreateAccount",
    touches: [["accounts", textRowKey(account.id)]],
    decide(view, { nowMs }) {
      if (findAccount(view, account.id)) throw fail("accountExists", { account: account.id })
      const record = { ...account, createdMs: nowMs }
      return {
        writes: [{ family: "accounts", key: textRowKey(account.id), value: encodeAccount(record) }],
        result: record,
      }
    },
  }
}

export function addAccessKey(
  id: AccessKeyId,
  accountId: AccountId,
  sealedSecret: Uint8Array,
): Command<AccessKeyRecord> {
  return {
    name: "AddAccessKey",
    touches: [["accessKeys", textRowKey(id)]],
    decide(view, { nowMs }) {
      if (!findAccount(view, accountId)) throw fail("noSuchAccount", { account: accountId })
      if (findAccessKey(view, id)) throw fail("accessKeyExists", { key: id })
      const record = { accountId, createdMs: nowMs, sealedSecret }
      return { writes: [{ family: "accessKeys", key: textRowKey(id), value: encodeAccessKey(record) }], result: record }
    },
  }
}

export function dropAccessKey(id: AccessKeyId): Command<void> {
  return {
    name: "DropAccessKey",
    grows: false,
    touches: [["accessKeys", textRowKey(id)]],
    decide(view) {
      if (!findAccessKey(view, id)) throw fail("noSuchAccessKey", { key: id })
      return { writes: [{ family: "accessKeys", key: textRowKey(id), value: undefined }], result: undefined }
    },
  }
}
