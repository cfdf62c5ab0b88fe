/**
 * Access control lists: the older way to share buckets and objects, next to access policies. Pure.
 *
 * A list has an owner and grants. It only allows, and does not apply to the owner's own account, whose identity
 * policies decide. If a bucket enforces its owner as object owner, the lists of the bucket and of all its objects are
 * ignored, regardless of who wrote them.
 * Source  "Access control list (ACL) overview", Amazon S3 User Guide.
 */
import { parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import type { AclGroup, AclPermission, Grant, Grantee, ObjectAcl } from "@hayloft/engine/format/objects/acl.js"

export { ACL_GROUPS, ACL_PERMISSIONS } from "@hayloft/engine/format/objects/acl.js"
export type { AclGroup, AclPermission, Grant, Grantee } from "@hayloft/engine/format/objects/acl.js"

export interface Acl {
  readonly owner: AccountId
  readonly grants: readonly Grant[]
}

/** Predefined lists. */
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

/** Maximum number of grants in a list. */
export const GRANTS_MAX = 100

/** The grantee of Amazon's `aws-exec-read`: EC2. In this store no account matches unless one has this id. */
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

/** The default list of a bucket or an object. */
export const ownerOnly = (owner: AccountId): Acl => ({ owner, grants: [toAccount(owner, "FULL_CONTROL")] })

export const sameGrantee = (a: Grantee, b: Grantee): boolean =>
  a.kind === "account" ? b.kind === "account" && a.id === b.id : b.kind === "group" && a.group === b.group

export const isOwnerOnly = ({ owner, grants: [only, second] }: Acl): boolean =>
  second === undefined &&
  only?.permission === "FULL_CONTROL" &&
  sameGrantee(only.grantee, { kind: "account", id: owner })

const isPublicGrant = ({ grantee }: Grant): boolean => grantee.kind === "group" && PUBLIC_GROUPS.includes(grantee.group)

/** Returns true if the list allows anonymous callers or every signed caller. */
export const isPublicAcl = ({ grants }: Acl): boolean => grants.some(isPublicGrant)

/** The list without grants to everybody, for buckets that ignore public grants. */
export const withoutPublic = (acl: Acl): Acl => ({ ...acl, grants: acl.grants.filter(grant => !isPublicGrant(grant)) })

/** The grants that a canned list adds to the owner's full control. For a bucket's list `bucketOwner` is the owner. */
function addedGrants(name: CannedAcl, owner: AccountId, bucketOwner: AccountId): readonly Grant[] {
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
  grants: [...ownerOnly(owner).grants, ...addedGrants(name, owner, bucketOwner)],
})

/** The list of an object, as its version stores it. */
export function aclOfObject(stored: ObjectAcl | undefined, bucketOwner: AccountId): Acl {
  const usual = ownerOnly(stored?.owner ?? bucketOwner)
  return stored?.grants === undefined ? usual : { ...usual, grants: stored.grants }
}

/** The part of an object's list to store; undefined if the list is the default. */
export function storedAcl(acl: Acl, bucketOwner: AccountId): ObjectAcl | undefined {
  const owner = acl.owner === bucketOwner ? undefined : acl.owner
  const grants = isOwnerOnly(acl) ? undefined : acl.grants
  return owner === undefined && grants === undefined ? undefined : { owner, grants }
}
