/** Whether whom a policy names is there: accounts, users and roles, as the rows say. Pure. */
import { parseAccountId, parseAccountNumber } from "../../base/ids.js"
import type { TabletView } from "../../tablet/index.js"
import { findAccount, findAccountId } from "../find-account-core.js"
import type { PrincipalName } from "../policy/contract.js"
import { findIdentity } from "./identity-commands-core.js"
import { parseIdentityArn } from "./names.js"

const NAMED = /^(?:arn:aws:(?:iam|sts)::)?(\d{12})(?::([a-z-]+)(?:\/([^/]+))?)?/

/** `*`, unique ids, services and providers are nobody's to look up. */
export function isPrincipalThere(view: TabletView, { type, value }: PrincipalName): boolean {
  if (type === "CanonicalUser") return findAccount(view, parseAccountId(value)) !== undefined
  const [, number, kind = "root", first = ""] = type === "AWS" ? (NAMED.exec(value) ?? []) : []
  if (number === undefined) return true
  const accountId = findAccountId(view, parseAccountNumber(number))
  if (accountId === undefined) return false
  switch (kind) {
    case "root":
      return true
    case "assumed-role":
      return findIdentity(view, { accountId, kind: "role", name: first })?.name === first
    case "user":
    case "role": {
      const parsed = parseIdentityArn(kind, value)
      const found = parsed && findIdentity(view, { accountId, kind, name: parsed.name })
      return found !== undefined && found.name === parsed?.name && found.path === parsed.path
    }
    default:
      return false
  }
}
