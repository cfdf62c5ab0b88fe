/**
 * Membership rows, by which groups find their members and managed policies their holders. A row's key ends with the
 * kind and the lower-case name of the identity. Pure.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { IdentityKind } from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRange } from "@hayloft/engine/format/row-key.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"

export const groupMembership = (name: string): string => `group ${name.toLowerCase()}`
export const policyMembership = (arn: string): string => `policy ${arn}`
export const boundaryMembership = (arn: string): string => `boundary ${arn}`

/** All memberships in one group or policy, in the order of kinds and names. */
export const membershipRange = (accountId: AccountId, membership: string): KeyRange =>
  accountRange(accountId, membership)

const MEMBERSHIP_END = /\x00(user|group|role|entry) ([^\x00]+)$/

/** `name` is the DN of an entry, as bytes. */
export function parseMembership(key: RowKey): { readonly kind: IdentityKind | "entry"; readonly name: string } {
  const [, kind, name] = MEMBERSHIP_END.exec(key) ?? []
  if (name === undefined || (kind !== "user" && kind !== "group" && kind !== "role" && kind !== "entry"))
    throw fail("corruptRecord", { what: "identity link" })
  return { kind, name }
}

export function hasMemberships(view: RowView, accountId: AccountId, membership: string): boolean {
  const [first] = view.range("identityLinks", membershipRange(accountId, membership))
  return first !== undefined
}

export function countMemberships(view: RowView, accountId: AccountId, membership: string): number {
  let count = 0
  for (const _ of view.range("identityLinks", membershipRange(accountId, membership))) count += 1
  return count
}
