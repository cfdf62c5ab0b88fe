/** Actions on the account as a whole: what is in it, and what it is called. */
import type { IdentityKind } from "../../format/identity-records.js"
import { guarded, type Actions, type Call, type Result } from "../action.js"
import { PAGING, writeList } from "../paging.js"
import { onAccount } from "../targets.js"

export const ACCOUNT: Actions = {
  ListAccountAliases: guarded(onAccount, PAGING.join(" "), listAccountAliases),
  GetAccountSummary: guarded(onAccount, "", getAccountSummary),
}

/** An account has no other names here. */
async function listAccountAliases(): Promise<Result> {
  return xml => {
    writeList(xml, "AccountAliases", [], () => undefined)
    xml.text("IsTruncated", false)
  }
}

async function getAccountSummary({ identities, accounts, accountId }: Call): Promise<Result> {
  const count = (kind: IdentityKind) => countOf(identities.list(accountId, kind, ""))
  const rootKeys = await accounts.keysOf({ accountId, userName: undefined })
  const entries: readonly (readonly [string, number])[] = [
    ["Users", count("user")],
    ["Groups", count("group")],
    ["Roles", count("role")],
    ["Policies", countOf(identities.listPolicies(accountId, ""))],
    ["Providers", identities.listProviders(accountId).length],
    ["AccountAccessKeysPresent", Math.min(1, rootKeys.length)],
    ["AccountMFAEnabled", 0],
    ["MFADevices", 0],
  ]
  return xml =>
    void xml.group("SummaryMap", map => {
      for (const [key, value] of entries) map.group("entry", entry => entry.text("key", key).text("value", value))
    })
}

function countOf(items: Iterable<unknown>): number {
  let count = 0
  for (const _ of items) count += 1
  return count
}
