/**
 * Access control lists: the older way to share buckets and objects, beside access policies. Pure.
 *
 * A list has an owner and grants. It only ever allows, and says nothing of the owner's own account, whose
 * identities decide for themselves. Where a bucket's owner is enforced, the lists of the bucket and of all its
 * objects rest: none counts, whoever wrote them.
 * Source  "Access control list (ACL) overview", Amazon S3 User Guide.
 */
import { parseAccountId, type AccountId } from "../../base/ids.js"
import type { AclGroup, AclPermission, Grant, Grantee, ObjectAcl } from "../../format/acl.js"

export { ACL_GROUPS, ACL_PERMISSIONS } from "../../format/acl.js"
export type { AclGroup, AclPermission, Grant, Grantee } from "../../format/acl.js"

export interface Acl {
  readonly owner: AccountId
  readonly grants: readonly Grant[]
}

/** Lists with a name of their own. */
export const CANNED_ACLS = [
  "private",
  "public-read",
  "public-read-write",
  "authenticated-read",
  "aws-exec-read",
  "bucket-owner-read",
  "bucket-owner-full-control",
  "log-delivery-write",
] as const
export type CannedAcl = (typeof CANNED_ACLS)[number]
export type AclResource = "bucket" | "object"

/** Of a list. */
export const GRANTS_MAX = 100

/** Whom Amazon's `aws-exec-read` names: EC2. Here that is nobody, unless an account has this id. */
export const EC2_ACCOUNT: AccountId = parseAccountId("6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c")

const PUBLIC_GROUPS: readonly AclGroup[] = ["AllUsers", "AuthenticatedUsers"]

const toAccount = (id: AccountId, permission: AclPermission): Grant => ({
  grantee: { kind: "account", id },
  permission,
})
const toGroup = (group: AclGroup, permission: AclPermission): Grant => ({
  grantee: { kind: "group", group },
  permission,
})

/** What a bucket or an object has where nobody asked for anything else. */
export const ownerOnly = (owner: AccountId): Acl => ({ owner, grants: [toAccount(owner, "FULL_CONTROL")] })

export const sameGrantee = (a: Grantee, b: Grantee): boolean =>
  a.kind === "account" ? b.kind === "account" && a.id === b.id : b.kind === "group" && a.group === b.group

export const isOwnerOnly = ({ owner, grants: [only, second] }: Acl): boolean =>
  second === undefined &&
  only?.permission === "FULL_CONTROL" &&
  sameGrantee(only.grantee, { kind: "account", id: owner })

const isPublicGrant = ({ grantee }: Grant): boolean => grantee.kind === "group" && PUBLIC_GROUPS.includes(grantee.group)

/** Whether it lets in whoever comes, or whoever signs. */
export const isPublicAcl = ({ grants }: Acl): boolean => grants.some(isPublicGrant)

/** Without what lets in everybody: what is left of a list whose bucket ignores that. */
export const withoutPublic = (acl: Acl): Acl => ({ ...acl, grants: acl.grants.filter(grant => !isPublicGrant(grant)) })

/** What the name adds to the owner's full control. `bucketOwner` is the owner itself where the list is a bucket's. */
function grantsBeside(name: CannedAcl, owner: AccountId, bucketOwner: AccountId): readonly Grant[] {
  switch (name) {
    case "private":
      return []
    case "public-read":
      return [toGroup("AllUsers", "READ")]
    case "public-read-write":
      return [toGroup("AllUsers", "READ"), toGroup("AllUsers", "WRITE")]
    case "authenticated-read":
      return [toGroup("AuthenticatedUsers", "READ")]
    case "aws-exec-read":
      return [toAccount(EC2_ACCOUNT, "READ")]
    case "bucket-owner-read":
      return owner === bucketOwner ? [] : [toAccount(bucketOwner, "READ")]
    case "bucket-owner-full-control":
      return owner === bucketOwner ? [] : [toAccount(bucketOwner, "FULL_CONTROL")]
    case "log-delivery-write":
      return [toGroup("LogDelivery", "WRITE"), toGroup("LogDelivery", "READ_ACP")]
  }
}

export const cannedAcl = (name: CannedAcl, owner: AccountId, bucketOwner: AccountId): Acl => ({
  owner,
  grants: [...ownerOnly(owner).grants, ...grantsBeside(name, owner, bucketOwner)],
})

/** The list of an object, as its version keeps it. */
export function aclOfObject(stored: ObjectAcl | undefined, bucketOwner: AccountId): Acl {
  const usual = ownerOnly(stored?.owner ?? bucketOwner)
  return stored?.grants === undefined ? usual : { ...usual, grants: stored.grants }
}

/** What of an object's list is to be kept; undefined: nothing. */
export function storedAcl(acl: Acl, bucketOwner: AccountId): ObjectAcl | undefined {
  const owner = acl.owner === bucketOwner ? undefined : acl.owner
  const grants = isOwnerOnly(acl) ? undefined : acl.grants
  return owner === undefined && grants === undefined ? undefined : { owner, grants }
}
