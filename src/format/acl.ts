/**
 * Access control lists as objects keep them: who may do what, in S3's words.
 *
 * Only what differs from the usual is kept: an object of the bucket's owner that nobody else may read has
 * nothing of this. Numbers are on disk: append only.
 */
import { parseAccountId, type AccountId } from "../base/ids.js"
import { pick, type RecordReader } from "./pack.js"

export const ACL_PERMISSIONS = ["FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"] as const
export type AclPermission = (typeof ACL_PERMISSIONS)[number]

/** Everybody; everybody who signs; who delivers logs, which is nobody here. */
export const ACL_GROUPS = ["AllUsers", "AuthenticatedUsers", "LogDelivery"] as const
export type AclGroup = (typeof ACL_GROUPS)[number]

export type Grantee =
  { readonly kind: "account"; readonly id: AccountId } | { readonly kind: "group"; readonly group: AclGroup }

export interface Grant {
  readonly grantee: Grantee
  readonly permission: AclPermission
}

/** What is kept with a version. */
export interface ObjectAcl {
  /** Undefined: the bucket's owner. */
  readonly owner: AccountId | undefined
  /** Undefined: the owner has full control, and nobody else anything. */
  readonly grants: readonly Grant[] | undefined
}

function packGrant({ grantee, permission }: Grant): readonly unknown[] {
  const number = ACL_PERMISSIONS.indexOf(permission)
  return grantee.kind === "account" ? [number, grantee.id] : [number, null, ACL_GROUPS.indexOf(grantee.group)]
}

function readGrant(row: RecordReader): Grant {
  const permission = pick(ACL_PERMISSIONS, row.number(), "permission")
  const id = row.optional(() => parseAccountId(row.text()))
  if (id !== undefined) return { grantee: { kind: "account", id }, permission }
  return { grantee: { kind: "group", group: pick(ACL_GROUPS, row.number(), "group") }, permission }
}

export const packAcl = ({ owner, grants }: ObjectAcl): readonly unknown[] => [
  owner ?? null,
  grants?.map(packGrant) ?? null,
]

export const readAcl = (row: RecordReader): ObjectAcl => ({
  owner: row.optional(() => parseAccountId(row.text())),
  grants: row.optional(() => row.rows(readGrant)),
})
