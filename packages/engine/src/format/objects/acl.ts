/**
 * Access control lists as objects store them: grants in S3's terms.
 *
 * Only deviations from the default are stored: an object of the bucket's owner that only the owner may read
 * stores nothing. Numbers are on disk: append only.
 */
import type { AccountId } from "@hayloft/base/ids.js"
import { oneOf, optional, row, rowsOf, type RecordField, type ValueOf } from "../encoding/fields.js"
import { ACCOUNT_ID } from "../encoding/id-fields.js"

export const ACL_PERMISSIONS = ["FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"] as const
export type AclPermission = (typeof ACL_PERMISSIONS)[number]

/** Everyone; everyone who signs; the log delivery service, which Hayloft does not have. */
export const ACL_GROUPS = ["AllUsers", "AuthenticatedUsers", "LogDelivery"] as const
export type AclGroup = (typeof ACL_GROUPS)[number]
const GROUP = oneOf(ACL_GROUPS)

export type Grantee =
  | { readonly kind: "account"; readonly id: AccountId }
  | { readonly kind: "group"; readonly group: AclGroup }

/** The account, or null and the group. */
const GRANTEE: RecordField<Grantee> = {
  write: (members, grantee) => {
    if (grantee.kind === "account") members.push(grantee.id)
    else members.push(null, ACL_GROUPS.indexOf(grantee.group))
  },
  read: reader =>
    reader.skipsAbsent()
      ? { kind: "group", group: GROUP.read(reader) }
      : { kind: "account", id: ACCOUNT_ID.read(reader) },
}

const GRANTS = rowsOf({ permission: oneOf(ACL_PERMISSIONS), grantee: GRANTEE })
export type Grant = ValueOf<typeof GRANTS>[number]

/** The part of an access control list that is stored with a version. */
export const OBJECT_ACL = row({
  /** The bucket's owner if undefined. */
  owner: optional(ACCOUNT_ID),
  /** If undefined, only the owner has access: full control. */
  grants: optional(GRANTS),
})
export type ObjectAcl = ValueOf<typeof OBJECT_ACL>
