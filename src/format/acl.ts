/**
 * Access control lists as objects store them: grants in S3's terms.
 *
 * Only deviations from the default are stored: an object of the bucket's owner that only the owner may read
 * stores nothing. Numbers are on disk: append only.
 */
import { parseAccountId, type AccountId } from "../base/ids.js"
import { pick, type RecordReader } from "./pack.js"

export const ACL_PERMISSIONS = ["FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"] as const
export type AclPermission = (typeof ACL_PERMISSIONS)[number]

/** Everyone; everyone who signs; the log delivery service, which Hayloft does not have. */
export const ACL_GROUPS = ["AllUsers", "AuthenticatedUsers", "LogDelivery"] as const
export type AclGroup = (typeof ACL_GROUPS)[number]

export type Grantee =
  | { readonly kind: "account"; readonly id: AccountId }
  | { readonly kind: "group"; readonly group: AclGroup }

export interface Grant {
  readonly grantee: Grantee
  readonly permission: AclPermission
}

/** The part of an access control list that is stored with a version. */
export interface ObjectAcl {
  /** The bucket's owner if undefined. */
  readonly owner: AccountId | undefined
  /** If undefined, only the owner has access: full control. */
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
