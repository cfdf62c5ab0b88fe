/**
 * Commands on users, groups and roles. Pure decisions on the tablet's own rows.
 *
 * An edit is a function from the record to the changed record. Membership rows, by which groups find their members and
 * policies their holders, are derived from the record alone and written with it.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { AccountId, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import {
  decodeAccessKey,
  decodeIdentity,
  encodeAccessKey,
  encodeIdentity,
  type IdentityRecord,
  type RoleTerms,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { PRESENT } from "@hayloft/engine/format/records.js"
import { accountRowKey, textRowKey } from "@hayloft/engine/format/row-key.js"
import { command, deletionsOf, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import {
  hasMemberships,
  boundaryMembership,
  groupMembership,
  policyMembership,
  parseMembership,
} from "./identity-links-core.js"
import { checkPolicyExists } from "./managed-policy-commands-core.js"
import { checkInlineSize } from "./policy-texts.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { changeTags } from "./tags.js"
import type { IdentityRef } from "../contract.js"
import type { Tags } from "@hayloft/base/tags.js"

export const identityRow = ({ accountId, kind, name }: IdentityRef) =>
  accountRowKey(accountId, kind, name.toLowerCase())

export function findIdentity(view: RowView, ref: IdentityRef): IdentityRecord | undefined {
  const row = view.get("identities", identityRow(ref))
  return row && decodeIdentity(row.value)
}

/** Throws `noSuchEntity`. */
export function needIdentity(view: RowView, ref: IdentityRef): IdentityRecord {
  const found = findIdentity(view, ref)
  if (found === undefined) throw noSuch(ref)
  return found
}

/** The identity that the key of a membership row names; undefined for an entry of a directory. */
export function linkedIdentity(view: RowView, accountId: AccountId, key: RowKey): IdentityRecord | undefined {
  const { kind, name } = parseMembership(key)
  return kind === "entry" ? undefined : needIdentity(view, { accountId, kind, name })
}

const noSuch = ({ kind, name }: Pick<IdentityRef, "kind" | "name">): Failure =>
  fail("noSuchEntity", { message: `The ${kind} with name ${name} cannot be found.` })

/** The groups and policies that an identity belongs to, in the form of membership rows. */
const membershipsOf = ({ groups, attached, boundary }: IdentityRecord): readonly string[] => [
  ...groups.map(groupMembership),
  ...attached.map(policyMembership),
  ...(boundary === undefined ? [] : [boundaryMembership(boundary)]),
]

function membershipWrites(
  view: RowView,
  accountId: AccountId,
  before: IdentityRecord | undefined,
  after: IdentityRecord | undefined,
): EntryWrite[] {
  const rowOf = (record: IdentityRecord) => (membership: string) =>
    accountRowKey(accountId, membership, `${record.kind} ${record.name.toLowerCase()}`)
  const old = new Set(before === undefined ? [] : membershipsOf(before).map(rowOf(before)))
  const now = new Set(after === undefined ? [] : membershipsOf(after).map(rowOf(after)))
  const left = [...old].filter(key => !now.has(key)).map(key => ["identityLinks", key] as const)
  const entered = [...now].filter(key => !old.has(key))
  return [
    ...deletionsOf(view, left),
    ...entered.map((key): EntryWrite => ({ family: "identityLinks", key, value: PRESENT })),
  ]
}

export const createIdentity = command<
  [accountId: AccountId, identity: Omit<IdentityRecord, "createdMs">],
  IdentityRecord
>({
  name: "CreateIdentity",
  touches: (accountId, identity) => [
    ["identities", identityRow({ accountId, kind: identity.kind, name: identity.name })],
  ],
  decide(view, { nowMs }, accountId, identity) {
    const ref = { accountId, kind: identity.kind, name: identity.name }
    const key = identityRow(ref)
    if (findIdentity(view, ref)) throw existsAlready(ref)
    const record = { ...identity, createdMs: nowMs }
    if (record.boundary !== undefined) checkPolicyExists(view, accountId, record.boundary)
    return {
      writes: [
        { family: "identities", key, value: encodeIdentity(record) },
        ...membershipWrites(view, accountId, undefined, record),
      ],
      result: record,
    }
  },
})

const existsAlready = ({ kind, name }: Pick<IdentityRef, "kind" | "name">): Failure =>
  fail("entityExists", { message: `${capital(kind)} with name ${name} already exists.` })
const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/**
 * Makes a command from an edit of the record. The edit may read other rows, and throws to refuse. `removes` returns true if the
 * record only loses something: a full store lets rights be withdrawn, and identities be prepared for their deletion.
 */
const identityEdit = <Args extends readonly unknown[]>(
  name: string,
  edit: (record: IdentityRecord, scene: EditScene, ...args: Args) => IdentityRecord,
  removes: (...args: Args) => boolean = () => false,
) =>
  command<[ref: IdentityRef, ...Args], IdentityRecord>({
    name,
    grows: (_ref, ...args) => !removes(...args),
    touches: (ref, ..._others): Touches => [["identities", identityRow(ref)]],
    decide(view, _time, ref, ...args) {
      const { accountId } = ref
      const before = needIdentity(view, ref)
      const after = edit(before, { view, accountId }, ...args)
      return {
        writes: [
          { family: "identities", key: identityRow(ref), value: encodeIdentity(after) },
          ...membershipWrites(view, accountId, before, after),
        ],
        result: after,
      }
    },
  })

interface EditScene {
  readonly view: RowView
  readonly accountId: AccountId
}

/** Renames a user; its keys, groups and policies follow. */
export const renameUser = command<[ref: IdentityRef, newName: string, path: string | undefined], IdentityRecord>({
  name: "RenameUser",
  touches: (ref, newName) => [
    ["identities", identityRow(ref)],
    ["identities", identityRow({ ...ref, name: newName })],
  ],
  decide(view, _time, ref, newName, path) {
    const target = { ...ref, name: newName }
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
    return { writes: [...writes, ...membershipWrites(view, ref.accountId, before, after)], result: after }
  },
})

/** Returns why an identity cannot be deleted; undefined if it can. */
function deleteBlocker(view: RowView, ref: IdentityRef, record: IdentityRecord): string | undefined {
  const hasLongTermKey = record.keys.some(id => {
    const row = view.get("accessKeys", textRowKey(id))
    return row !== undefined && decodeAccessKey(row.value).service === undefined
  })
  if (hasLongTermKey) return "access keys"
  if (record.attached.length > 0) return "attached policies"
  if (record.inline.length > 0) return "policies"
  if (record.groups.length > 0) return "memberships in groups"
  return ref.kind === "group" && hasMemberships(view, ref.accountId, groupMembership(ref.name)) ? "members" : undefined
}

/** Also deletes a user's service keys. Throws `noSuchEntity`, `deleteConflict`. */
export const deleteIdentity = command<[ref: IdentityRef], void>({
  name: "DeleteIdentity",
  grows: false,
  touches: ref => [["identities", identityRow(ref)]],
  decide(view, _time, ref) {
    const key = identityRow(ref)
    const record = needIdentity(view, ref)
    const blocker = deleteBlocker(view, ref, record)
    if (blocker !== undefined)
      throw fail("deleteConflict", { message: `Cannot delete entity, must remove ${blocker} first.` })
    const writes: EntryWrite[] = [{ family: "identities", key, value: undefined }]
    for (const id of record.keys) writes.push(...keyRemoval(view, id))
    return { writes: [...writes, ...membershipWrites(view, ref.accountId, record, undefined)], result: undefined }
  },
})

/** Deletes all rows of a key; the user's record lists it too. */
export const keyRemoval = (view: RowView, id: string): EntryWrite[] =>
  deletionsOf(view, [
    ["accessKeys", textRowKey(id)],
    ["keyUses", textRowKey(id)],
  ])

// The edits. Every one throws `noSuchEntity` if there is no such identity.

/** Leaves the path unchanged if it is undefined. */
export const setPath = identityEdit<[path: string | undefined]>("UpdateIdentity", (record, _scene, path) => ({
  ...record,
  path: path ?? record.path,
}))

/** The caller must have checked the changed terms. */
export const updateRole = identityEdit<[change: Partial<RoleTerms>]>("UpdateRole", (record, _scene, change) => {
  if (record.role === undefined) throw fail("invalidArgument", { message: "only a role has terms" })
  return { ...record, role: { ...record.role, ...change } }
})

export const setTags = identityEdit<[tags: Tags, removed: readonly string[]]>(
  "TagIdentity",
  (record, _scene, tags, removed) => ({ ...record, tags: changeTags(record.tags, tags, removed) }),
  tags => tags.length === 0,
)

export const putInline = identityEdit<[policyName: string, text: string]>(
  "PutInlinePolicy",
  (record, _scene, policyName, text) => {
    const others = record.inline.filter(({ name }) => name !== policyName)
    const inline = [...others, { name: policyName, text }].sort((a, b) => (a.name < b.name ? -1 : 1))
    checkInlineSize(record.kind, inline)
    return { ...record, inline }
  },
)

export const removeInline = identityEdit<[policyName: string]>(
  "DeleteInlinePolicy",
  (record, _scene, policyName) => {
    const inline = record.inline.filter(({ name }) => name !== policyName)
    if (inline.length === record.inline.length) throw noSuchPolicy(policyName)
    return { ...record, inline }
  },
  () => true,
)

const noSuchPolicy = (name: string): Failure =>
  fail("noSuchEntity", { message: `The policy with name ${name} cannot be found.` })
const limitExceeded = (message: string): Failure => fail("limitExceeded", { message })

export const attachPolicy = identityEdit<[arn: string]>("AttachPolicy", (record, { view, accountId }, arn) => {
  checkPolicyExists(view, accountId, arn)
  if (record.attached.includes(arn)) return record
  if (record.attached.length >= IDENTITY_LIMITS.attachedPoliciesMax) {
    throw limitExceeded(`Cannot exceed quota for PoliciesPer${capital(record.kind)}: ${record.attached.length}`)
  }
  return { ...record, attached: [...record.attached, arn] }
})

export const detachPolicy = identityEdit<[arn: string]>(
  "DetachPolicy",
  (record, _scene, arn) => {
    const attached = record.attached.filter(other => other !== arn)
    if (attached.length === record.attached.length) {
      throw fail("noSuchEntity", { message: `Policy ${arn} was not found.` })
    }
    return { ...record, attached }
  },
  () => true,
)

export const setBoundary = identityEdit<[arn: string | undefined]>(
  "SetBoundary",
  (record, { view, accountId }, arn) => {
    if (arn !== undefined) checkPolicyExists(view, accountId, arn)
    else if (record.boundary === undefined) {
      throw fail("noSuchEntity", { message: `${record.kind} ${record.name} has no permissions boundary.` })
    }
    return { ...record, boundary: arn }
  },
  arn => arn === undefined,
)

export const joinGroup = identityEdit<[groupName: string]>("JoinGroup", (record, { view, accountId }, groupName) => {
  const group = needIdentity(view, { accountId, kind: "group", name: groupName })
  if (record.groups.includes(group.name)) return record
  if (record.groups.length >= IDENTITY_LIMITS.groupsPerUser) {
    throw limitExceeded(`Cannot exceed quota for GroupsPerUser: ${IDENTITY_LIMITS.groupsPerUser}`)
  }
  return { ...record, groups: [...record.groups, group.name] }
})

export const leaveGroup = identityEdit<[groupName: string]>(
  "LeaveGroup",
  (record, { view, accountId }, groupName) => {
    const group = needIdentity(view, { accountId, kind: "group", name: groupName })
    const groups = record.groups.filter(name => name !== group.name)
    if (groups.length === record.groups.length) {
      throw fail("noSuchEntity", { message: `User ${record.name} is not in group ${group.name}.` })
    }
    return { ...record, groups }
  },
  () => true,
)
