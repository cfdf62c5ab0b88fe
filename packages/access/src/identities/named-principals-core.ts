/** Queries of the principals that policies name: accounts, users and roles. Pure. */
import { parseAccountId, parseAccountNumber } from "@hayloft/base/ids.js"
import { parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import type { AccountNumber, RowKey } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { decodeIdentity, type IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import { findAccount, findAccountId } from "../accounts/find-account-core.js"
import type { PrincipalName } from "../policy/contract.js"
import { readPage, type RecordPage } from "../accounts/record-pages-core.js"
import { findIdentity } from "./identity-commands-core.js"
import { parseIdentityArn } from "./names.js"

const NAMED = /^(?:arn:aws:(?:iam|sts)::)?(\d{12})(?::([a-z-]+)(?:\/([^/]+)(?:\/(.+))?)?)?/

export interface MatchedPrincipal {
  /** Also true for `*`, unique ids, services and providers, which are not looked up. */
  readonly exists: boolean
  /** The unique id of a user, a role, or a session of a role. */
  readonly uniqueId: string | undefined
}

const NO_MATCH: MatchedPrincipal = { exists: false, uniqueId: undefined }
const MATCH: MatchedPrincipal = { exists: true, uniqueId: undefined }

function findPrincipal(view: RowView, { type, value }: PrincipalName): MatchedPrincipal {
  if (type === "CanonicalUser") return findAccount(view, parseAccountId(value)) ? MATCH : NO_MATCH
  const [, number, kind = "root", first = "", session] = type === "AWS" ? (NAMED.exec(value) ?? []) : []
  if (number === undefined) return MATCH
  const accountId = findAccountId(view, parseAccountNumber(number))
  if (accountId === undefined) return NO_MATCH
  switch (kind) {
    case "root":
      return MATCH
    case "assumed-role": {
      const role = findIdentity(view, { accountId, kind: "role", name: first })
      if (role?.name !== first) return NO_MATCH
      return { exists: true, uniqueId: session === undefined ? undefined : `${role.id}:${session}` }
    }
    case "user":
    case "role": {
      const parsed = parseIdentityArn(kind, value)
      const found = parsed && findIdentity(view, { accountId, kind, name: parsed.name })
      if (found === undefined || found.name !== parsed?.name || found.path !== parsed.path) return NO_MATCH
      return { exists: true, uniqueId: found.id }
    }
    default:
      return NO_MATCH
  }
}

/** The match of each name. */
export const readPrincipals = query(
  "ReadPrincipals",
  (view, named: readonly PrincipalName[]): readonly MatchedPrincipal[] => named.map(name => findPrincipal(view, name)),
)

/** The parts of a user's or role's ARN. */
export interface NamedIdentity extends Pick<IdentityRecord, "id" | "kind" | "path" | "name"> {
  readonly accountNumber: AccountNumber
}

/** Users and roles of all accounts. */
export const readNamedIdentities = query("ReadNamedIdentities", (view, start: RowKey): RecordPage<NamedIdentity> => {
  const page = readPage(view, "identities", ALL_ROWS, start, (key, value): readonly NamedIdentity[] => {
    const { id, kind, path, name } = decodeIdentity(value)
    const account = findAccount(view, parseAccountRowKey(key).account)
    return kind === "group" || account === undefined ? [] : [{ id, kind, path, name, accountNumber: account.number }]
  })
  return { ...page, items: page.items.flat() }
})
