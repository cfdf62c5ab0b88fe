/**
 * Commands on users, groups and roles. Pure decisions on the tablet's own rows.
 *
 * A change is a function from the record to the record; the links, by which groups find their members
 * and policies those who have them, are written with it and follow from it alone.
 */
import { fail, type Failure } from "../../base/failures.js"
import type { AccountId } from "../../base/ids.js"
import type { EntryWrite } from "../../format/entry.js"
import {
  decodeAccessKey,
  decodeIdentity,
  encodeAccessKey,
  encodeIdentity,
  type IdentityKind,
  type IdentityRecord,
} from "../../format/identity-records.js"
import { PRESENT } from "../../format/records.js"
import { accountRange, accountRowKey, textRowKey } from "../../format/row-key.js"
import type { Command, TabletView } from "../../tablet/index.js"
import { checkPolicyExists } from "./managed-policy-commands-core.js"
import { checkInlineSize } from "./policy-texts.js"
import { IDENTITY_LIMITS } from "./limits.js"

/** Which one. */
export interface IdentityRef {
  readonly accountId: AccountId
  readonly kind: IdentityKind
  readonly name: string
}

export const identityRow = ({ accountId, kind, name }: IdentityRef) =>
  accountRowKey(accountId, kind, name.toLowerCase())

export function findIdentity(view: TabletView, ref: IdentityRef): IdentityRecord | undefined {
  const row = view.get("identities", identityRow(ref))
  return row && decodeIdentity(row.value)
}

/** Throws `noSuchEntity`. */
export function needIdentity(view: TabletView, ref: IdentityRef): IdentityRecord {
  const found = findIdentity(view, ref)
  if (found === undefined) throw noSuch(ref)
  return found
}

const noSuch = ({ kind, name }: Pick<IdentityRef, "kind" | "name">): Failure =>
  fail("noSuchEntity", { message: `The ${kind} with name ${name} cannot be found.` })

/** What an identity belongs to, as its links name it. */
const linksOf = ({ groups, attached, boundary }: IdentityRecord): readonly string[] => [
  ...groups.map(linkToGroup),
  ...attached.map(linkToPolicy),
  ...(boundary === undefined ? [] : [linkToBoundary(boundary)]),
]
export const linkToGroup = (name: string): string => `group ${name.toLowerCase()}`
export const linkToPolicy = (arn: string): string => `policy ${arn}`
export const linkToBoundary = (arn: string): string => `boundary ${arn}`

export interface Linked {
  readonly kind: IdentityKind
  /** In lower case. */
  readonly name: string
}

const LINK_END = /\x00(user|group|role) ([^\x00]+)$/

/** Who is linked to it, in the order of kinds and names. */
export function* linkedTo(view: TabletView, accountId: AccountId, link: string): Generator<Linked> {
  for (const [key] of view.range("identityLinks", accountRange(accountId, link))) {
    const [, kind, name] = LINK_END.exec(key) ?? []
    if (name === undefined || (kind !== "user" && kind !== "group" && kind !== "role"))
      throw fail("corruptRecord", { what: "identity link" })
    yield { kind, name }
  }
}

function linkWrites(accountId: AccountId, before: IdentityRecord | undefined, after: IdentityRecord | undefined) {
  const rowOf = (record: IdentityRecord) => (link: string) =>
    accountRowKey(accountId, link, `${record.kind} ${record.name.toLowerCase()}`)
  const old = new Set(before === undefined ? [] : linksOf(before).map(rowOf(before)))
  const now = new Set(after === undefined ? [] : linksOf(after).map(rowOf(after)))
  const writes: EntryWrite[] = []
  for (const key of old) if (!now.has(key)) writes.push({ family: "identityLinks", key, value: undefined })
  for (const key of now) if (!old.has(key)) writes.push({ family: "identityLinks", key, value: PRESENT })
  return writes
}

export function createIdentity(
  accountId: AccountId,
  identity: Omit<IdentityRecord, "createdMs">,
): Command<IdentityRecord> {
  const ref = { accountId, kind: identity.kind, name: identity.name }
  const key = identityRow(ref)
  return {
    name: "CreateIdentity",
    touches: [["identities", key]],
    decide(view, { nowMs }) {
      if (findIdentity(view, ref)) throw existsAlready(ref)
      const record = { ...identity, createdMs: nowMs }
      if (record.boundary !== undefined) checkPolicyExists(view, accountId, record.boundary)
      return {
        writes: [
          { family: "identities", key, value: encodeIdentity(record) },
          ...linkWrites(accountId, undefined, record),
        ],
        result: record,
      }
    },
  }
}

const existsAlready = ({ kind, name }: Pick<IdentityRef, "kind" | "name">): Failure =>
  fail("entityExists", { message: `${capital(kind)} with name ${name} already exists.` })
const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/** From the record to what it becomes; may look at other rows, and refuse. */
export type IdentityEdit = (record: IdentityRecord, view: TabletView) => IdentityRecord

/** Changes an identity. Throws `noSuchEntity`, and what the edit refuses. */
export function editIdentity(name: string, ref: IdentityRef, edit: IdentityEdit): Command<IdentityRecord> {
  const key = identityRow(ref)
  return {
    name,
    touches: [["identities", key]],
    decide(view) {
      const before = needIdentity(view, ref)
      const after = edit(before, view)
      return {
        writes: [
          { family: "identities", key, value: encodeIdentity(after) },
          ...linkWrites(ref.accountId, before, after),
        ],
        result: after,
      }
    },
  }
}

/** A user under another name: its keys, groups and policies go with it. */
export function renameUser(ref: IdentityRef, newName: string, path: string | undefined): Command<IdentityRecord> {
  const target = { ...ref, name: newName }
  return {
    name: "RenameUser",
    touches: [
      ["identities", identityRow(ref)],
      ["identities", identityRow(target)],
    ],
    decide(view) {
      const before = needIdentity(view, ref)
      const after = { ...before, name: newName, path: path ?? before.path }
      const [oldKey, newKey] = [identityRow(ref), identityRow(target)]
      if (newKey !== oldKey && findIdentity(view, target)) throw existsAlready(target)
      const writes: EntryWrite[] = [{ family: "identities", key: newKey, value: encodeIdentity(after) }]
      if (newKey !== oldKey) writes.push({ family: "identities", key: oldKey, value: undefined })
      for (const id of before.keys) {
        const row = view.get("accessKeys", textRowKey(id))
        if (row === undefined) continue
        const value = encodeAccessKey({ ...decodeAccessKey(row.value), userName: newName })
        writes.push({ family: "accessKeys", key: textRowKey(id), value })
      }
      return { writes: [...writes, ...linkWrites(ref.accountId, before, after)], result: after }
    },
  }
}

/** What keeps an identity from being deleted; undefined: nothing. */
function heldBy(view: TabletView, ref: IdentityRef, record: IdentityRecord): string | undefined {
  const hasLongTermKey = record.keys.some(id => {
    const row = view.get("accessKeys", textRowKey(id))
    return row !== undefined && decodeAccessKey(row.value).service === undefined
  })
  if (hasLongTermKey) return "access keys"
  if (record.attached.length > 0) return "attached policies"
  if (record.inline.length > 0) return "policies"
  if (record.groups.length > 0) return "memberships in groups"
  const [member] = ref.kind === "group" ? linkedTo(view, ref.accountId, linkToGroup(ref.name)) : []
  return member === undefined ? undefined : "members"
}

/** Service keys of a user go with it. Throws `noSuchEntity`, `deleteConflict`. */
export function deleteIdentity(ref: IdentityRef): Command<void> {
  const key = identityRow(ref)
  return {
    name: "DeleteIdentity",
    grows: false,
    touches: [["identities", key]],
    decide(view) {
      const record = needIdentity(view, ref)
      const held = heldBy(view, ref, record)
      if (held !== undefined)
        throw fail("deleteConflict", { message: `Cannot delete entity, must remove ${held} first.` })
      const writes: EntryWrite[] = [{ family: "identities", key, value: undefined }]
      for (const id of record.keys) writes.push(...keyRemoval(id))
      return { writes: [...writes, ...linkWrites(ref.accountId, record, undefined)], result: undefined }
    },
  }
}

/** All that there is of a key beside its user's list. */
export const keyRemoval = (id: string): readonly EntryWrite[] => [
  { family: "accessKeys", key: textRowKey(id), value: undefined },
  { family: "keyUses", key: textRowKey(id), value: undefined },
]

// The edits.

export const putInline =
  (policyName: string, text: string): IdentityEdit =>
  record => {
    const others = record.inline.filter(({ name }) => name !== policyName)
    const inline = [...others, { name: policyName, text }].sort((a, b) => (a.name < b.name ? -1 : 1))
    checkInlineSize(record.kind, inline)
    return { ...record, inline }
  }

export const removeInline =
  (policyName: string): IdentityEdit =>
  record => {
    const inline = record.inline.filter(({ name }) => name !== policyName)
    if (inline.length === record.inline.length) throw noSuchPolicy(policyName)
    return { ...record, inline }
  }

export const noSuchPolicy = (name: string): Failure =>
  fail("noSuchEntity", { message: `The policy with name ${name} cannot be found.` })
const limitExceeded = (message: string): Failure => fail("limitExceeded", { message })

export const attachPolicy =
  (accountId: AccountId, arn: string): IdentityEdit =>
  (record, view) => {
    checkPolicyExists(view, accountId, arn)
    if (record.attached.includes(arn)) return record
    if (record.attached.length >= IDENTITY_LIMITS.attachedPoliciesMax) {
      throw limitExceeded(`Cannot exceed quota for PoliciesPer${capital(record.kind)}: ${record.attached.length}`)
    }
    return { ...record, attached: [...record.attached, arn] }
  }

export const detachPolicy =
  (arn: string): IdentityEdit =>
  record => {
    const attached = record.attached.filter(other => other !== arn)
    if (attached.length === record.attached.length) {
      throw fail("noSuchEntity", { message: `Policy ${arn} was not found.` })
    }
    return { ...record, attached }
  }

export const setBoundary =
  (accountId: AccountId, arn: string | undefined): IdentityEdit =>
  (record, view) => {
    if (arn !== undefined) checkPolicyExists(view, accountId, arn)
    else if (record.boundary === undefined) {
      throw fail("noSuchEntity", { message: `${record.kind} ${record.name} has no permissions boundary.` })
    }
    return { ...record, boundary: arn }
  }

export const joinGroup =
  (accountId: AccountId, groupName: string): IdentityEdit =>
  (record, view) => {
    const group = needIdentity(view, { accountId, kind: "group", name: groupName })
    if (record.groups.includes(group.name)) return record
    if (record.groups.length >= IDENTITY_LIMITS.groupsPerUser) {
      throw limitExceeded(`Cannot exceed quota for GroupsPerUser: ${IDENTITY_LIMITS.groupsPerUser}`)
    }
    return { ...record, groups: [...record.groups, group.name] }
  }

export const leaveGroup =
  (accountId: AccountId, groupName: string): IdentityEdit =>
  (record, view) => {
    const group = needIdentity(view, { accountId, kind: "group", name: groupName })
    const groups = record.groups.filter(name => name !== group.name)
    if (groups.length === record.groups.length) {
      throw fail("noSuchEntity", { message: `User ${record.name} is not in group ${group.name}.` })
    }
    return { ...record, groups }
  }
