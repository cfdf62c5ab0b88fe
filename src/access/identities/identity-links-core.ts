/**
 * Links: rows by which groups find their members, and managed policies the identities that have them. A row's key ends
 * with the kind and the name, in lower case, of the identity. Pure.
 */
import { fail } from "../../base/failures.js"
import type { AccountId, RowKey } from "../../base/ids.js"
import type { KeyRange } from "../../base/key-range.js"
import type { IdentityKind } from "../../format/identity-records.js"
import { accountRange } from "../../format/row-key.js"
import type { RowView } from "../../metadata/index.js"

export const linkToGroup = (name: string): string => `group ${name.toLowerCase()}`
export const linkToPolicy = (arn: string): string => `policy ${arn}`
export const linkToBoundary = (arn: string): string => `boundary ${arn}`

/** All links to one thing, in the order of kinds and names. */
export const linkRange = (accountId: AccountId, link: string): KeyRange => accountRange(accountId, link)

const LINK_END = /\x00(user|group|role) ([^\x00]+)$/

export function parseLink(key: RowKey): { readonly kind: IdentityKind; readonly name: string } {
  const [, kind, name] = LINK_END.exec(key) ?? []
  if (name === undefined || (kind !== "user" && kind !== "group" && kind !== "role"))
    throw fail("corruptRecord", { what: "identity link" })
  return { kind, name }
}

export function hasLinks(view: RowView, accountId: AccountId, link: string): boolean {
  const [first] = view.range("identityLinks", linkRange(accountId, link))
  return first !== undefined
}

export function countLinks(view: RowView, accountId: AccountId, link: string): number {
  let count = 0
  for (const _ of view.range("identityLinks", linkRange(accountId, link))) count += 1
  return count
}
