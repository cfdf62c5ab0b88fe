/**
 * Commands on the entries of an LDAP directory that have policies: a person or a group by its DN, in the normal form. Pure
 * decisions on the tablet's own rows. An entry has a row as long as it has a policy.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeDirectoryEntry,
  encodeDirectoryEntry,
  type DirectoryEntryRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { PRESENT } from "@hayloft/engine/format/records.js"
import { accountRange, accountRowKey } from "@hayloft/engine/format/row-key.js"
import { command, deletionsOf, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import { readPage, type RecordPage } from "../accounts/record-pages-core.js"
import { policyMembership } from "./identity-links-core.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { checkPolicyExists } from "./managed-policy-commands-core.js"

/** Row keys have bytes. */
const bytesOf = (dn: string): string => Buffer.from(dn).toString("latin1")

export const entryRow = (accountId: AccountId, dn: string): RowKey => accountRowKey(accountId, bytesOf(dn))

/** The DN in a membership row. */
export const dnOfMembership = (name: string): string => textOfObjectKey(name)

const linkRow = (accountId: AccountId, dn: string, arn: string): RowKey =>
  accountRowKey(accountId, policyMembership(arn), `entry ${bytesOf(dn)}`)

export function findEntry(view: RowView, accountId: AccountId, dn: string): DirectoryEntryRecord | undefined {
  const row = view.get("directoryEntries", entryRow(accountId, dn))
  return row && decodeDirectoryEntry(row.value)
}

const touchesEntry = (accountId: AccountId, dn: string, _arn: string): Touches => [
  ["directoryEntries", entryRow(accountId, dn)],
]

/** Throws `noSuchEntity` if there is no such policy, and `limitExceeded`. */
export const attachToEntry = command<[accountId: AccountId, dn: string, arn: string], DirectoryEntryRecord>({
  name: "AttachToEntry",
  touches: touchesEntry,
  decide(view, { nowMs }, accountId, dn, arn) {
    checkPolicyExists(view, accountId, arn)
    const before = findEntry(view, accountId, dn) ?? { dn, createdMs: nowMs, attached: [] }
    if (before.attached.includes(arn)) return { writes: [], result: before }
    const { attachedPoliciesMax } = IDENTITY_LIMITS
    if (before.attached.length >= attachedPoliciesMax)
      throw fail("limitExceeded", { message: `Cannot exceed quota for PoliciesPerEntry: ${attachedPoliciesMax}` })
    const after = { ...before, attached: [...before.attached, arn] }
    return {
      writes: [
        { family: "directoryEntries", key: entryRow(accountId, dn), value: encodeDirectoryEntry(after) },
        { family: "identityLinks", key: linkRow(accountId, dn, arn), value: PRESENT },
      ],
      result: after,
    }
  },
})

/** Throws `noSuchEntity`. */
export const detachFromEntry = command<[accountId: AccountId, dn: string, arn: string], void>({
  name: "DetachFromEntry",
  grows: false,
  touches: touchesEntry,
  decide(view, _time, accountId, dn, arn) {
    const before = findEntry(view, accountId, dn)
    if (before?.attached.includes(arn) !== true)
      throw fail("noSuchEntity", { message: `Policy ${arn} is not attached to ${dn}.` })
    const attached = before.attached.filter(other => other !== arn)
    const value = attached.length === 0 ? undefined : encodeDirectoryEntry({ ...before, attached })
    const entry: EntryWrite = { family: "directoryEntries", key: entryRow(accountId, dn), value }
    const link = deletionsOf(view, [["identityLinks", linkRow(accountId, dn, arn)]])
    return { writes: [entry, ...link], result: undefined }
  },
})

export const readEntries = query(
  "ReadEntries",
  (view, accountId: AccountId, start: RowKey): RecordPage<DirectoryEntryRecord> =>
    readPage(view, "directoryEntries", accountRange(accountId), start, (_key, value) => decodeDirectoryEntry(value)),
)

/** Returns those of the DNs that have policies. */
export const readEntriesAmong = query(
  "ReadEntriesAmong",
  (view, accountId: AccountId, dns: readonly string[]): readonly DirectoryEntryRecord[] =>
    dns.map(dn => findEntry(view, accountId, dn)).filter(found => found !== undefined),
)
