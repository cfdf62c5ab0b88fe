/**
 * Evaluates an access control list: a principal and an action to how far the grant reaches. Pure.
 *
 * The action determines the list: a bucket's list decides listing and putting objects into the bucket, an object's
 * list decides reading the object. No list decides other actions.
 * Source  "Mapping of ACL permissions and access policy permissions", Amazon S3 User Guide. WRITE also covers deleting
 *         by the owner of the deleted object; the calling code must check that ownership.
 */
import type { AclPermission, Grantee } from "@hayloft/engine/format/objects/acl.js"
import type { Principal } from "../principals/principal.js"
import type { Acl, AclResource } from "./acl.js"

/**
 *   account  the caller's account, whose own policies must also allow the action
 *   caller   everybody
 */
export type AclMatch = "account" | "caller"

interface AclRule {
  readonly of: AclResource
  readonly permission: Exclude<AclPermission, "FULL_CONTROL">
  /** The list's owner is always allowed: otherwise a list could shut out the account that has to change it. */
  readonly isOwners: boolean
}

const aclRules = (of: AclResource, permission: AclRule["permission"], actions: readonly string[]) =>
  actions.map((action): [string, AclRule] => [
    `s3:${action}`,
    { of, permission, isOwners: permission.endsWith("_ACP") },
  ])

const RULE_BY_ACTION: ReadonlyMap<string, AclRule> = new Map([
  ...aclRules("bucket", "READ", ["ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"]),
  ...aclRules("bucket", "WRITE", ["PutObject", "DeleteObject", "DeleteObjectVersion"]),
  ...aclRules("bucket", "READ_ACP", ["GetBucketAcl"]),
  ...aclRules("bucket", "WRITE_ACP", ["PutBucketAcl"]),
  ...aclRules("object", "READ", ["GetObject", "GetObjectVersion"]),
  ...aclRules("object", "READ_ACP", ["GetObjectAcl", "GetObjectVersionAcl"]),
  ...aclRules("object", "WRITE_ACP", ["PutObjectAcl", "PutObjectVersionAcl"]),
])

/** The kind of list that decides an action (`s3:GetObject`); undefined if none does. */
export const aclResourceFor = (action: string): AclResource | undefined => RULE_BY_ACTION.get(action)?.of

/** The permission that a list must grant for an action; undefined if no list decides it. */
export const permissionFor = (action: string): AclPermission | undefined => RULE_BY_ACTION.get(action)?.permission

/** How far a grant to this grantee reaches the caller; undefined if it does not reach the caller. */
function matchOfGrantee(grantee: Grantee, principal: Principal): AclMatch | undefined {
  if (grantee.kind === "account") {
    return principal.kind !== "anonymous" && principal.accountId === grantee.id ? "account" : undefined
  }
  if (grantee.group === "AllUsers") return "caller"
  return grantee.group === "AuthenticatedUsers" && principal.kind !== "anonymous" ? "caller" : undefined
}

/** The match that the list for the action (`aclResourceFor`) grants the caller; undefined if none. */
export function aclMatch(acl: Acl, principal: Principal, action: string): AclMatch | undefined {
  const rule = RULE_BY_ACTION.get(action)
  if (rule === undefined) return undefined
  const isOwner = principal.kind !== "anonymous" && principal.accountId === acl.owner
  let best: AclMatch | undefined = rule.isOwners && isOwner ? "account" : undefined
  for (const { grantee, permission } of acl.grants) {
    if (permission !== rule.permission && permission !== "FULL_CONTROL") continue
    const match = matchOfGrantee(grantee, principal)
    if (match === "caller") return match
    best = match ?? best
  }
  return best
}
