/**
 * The texts of the policies that apply to a user or role: its own, those of its groups and its boundary, each with the
 * name that explanations show. Pure.
 */
import { mapAll } from "@hayloft/base/failing-last.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { IdentityRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import { findEntry } from "./entry-commands-core.js"
import { findIdentity } from "./identity-commands-core.js"
import { defaultText, findPolicy } from "./managed-policy-commands-core.js"

export interface PolicyText {
  readonly name: string
  readonly text: string
}

export interface AttachedTexts {
  readonly identity: readonly PolicyText[]
  readonly boundary: PolicyText | undefined
}

export function attachedTexts(view: RowView, accountId: AccountId, identity: IdentityRecord): AttachedTexts {
  const groups = mapAll(identity.groups, name => {
    const group = findIdentity(view, { accountId, kind: "group", name })
    if (group === undefined) throw fail("corruptRecord", { what: "identity", field: "groups" })
    return group
  })
  const all = mapAll([identity, ...groups], each => ownTexts(view, accountId, each)).flat()
  const { boundary } = identity
  return { identity: all, boundary: boundary === undefined ? undefined : needText(view, accountId, boundary) }
}

/** The policies of an entry of a directory, by the normal form of its DN. */
export const entryTexts = (view: RowView, accountId: AccountId, dn: string): readonly PolicyText[] =>
  (findEntry(view, accountId, dn)?.attached ?? []).map(arn => needText(view, accountId, arn, `entry ${dn}: `))

function ownTexts(view: RowView, accountId: AccountId, { kind, name, inline, attached }: IdentityRecord): PolicyText[] {
  const who = `${kind} ${name}: `
  return [
    ...inline.map(policy => ({ name: `${who}inline ${policy.name}`, text: policy.text })),
    ...mapAll(attached, arn => needText(view, accountId, arn, who)),
  ]
}

/** A policy in use cannot be deleted, so it exists. */
function needText(view: RowView, accountId: AccountId, arn: string, prefix = ""): PolicyText {
  const found = findText(view, accountId, arn, prefix)
  if (found === undefined) throw fail("corruptRecord", { what: "identity", field: "policies" })
  return found
}

/** The default version of a managed policy; undefined if there is no such policy. */
export function findText(view: RowView, accountId: AccountId, arn: string, prefix: string): PolicyText | undefined {
  const record = findPolicy(view, accountId, arn)
  return record && { name: `${prefix}policy ${record.name}`, text: defaultText(record) }
}
