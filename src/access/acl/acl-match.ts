/**
 * What a list allows: a principal and an action to how far the grant reaches. Pure.
 *
 * Which list speaks of an action is the action's: a bucket's of listing and of putting objects into it, an
 * object's of reading it. Of everything else no list speaks.
 * Source  "Mapping of ACL permissions and access policy permissions", Amazon S3 User Guide. WRITE speaks of
 *         deleting too, for owners of what is deleted: whether the caller is one, is the asker's to find out.
 */
import type { AclPermission, Grantee } from "../../format/acl.js"
import type { Principal } from "../principal.js"
import type { Acl, AclResource } from "./acl.js"

/**
 *   account  the caller's account, which still has to say itself that the caller may
 *   caller   everybody
 */
export type AclMatch = "account" | "caller"

interface Spoken {
  readonly of: AclResource
  readonly permission: Exclude<AclPermission, "FULL_CONTROL">
  /** Its owner may always: or a list could shut out who is to change it. */
  readonly isOwners: boolean
}

const spoken = (of: AclResource, permission: Spoken["permission"], actions: readonly string[]) =>
  actions.map((action): [string, Spoken] => [`s3:${action}`, { of, permission, isOwners: permission.endsWith("_ACP") }])

const SPOKEN_OF: ReadonlyMap<string, Spoken> = new Map([
  ...spoken("bucket", "READ", ["ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"]),
  ...spoken("bucket", "WRITE", ["PutObject", "DeleteObject", "DeleteObjectVersion"]),
  ...spoken("bucket", "READ_ACP", ["GetBucketAcl"]),
  ...spoken("bucket", "WRITE_ACP", ["PutBucketAcl"]),
  ...spoken("object", "READ", ["GetObject", "GetObjectVersion"]),
  ...spoken("object", "READ_ACP", ["GetObjectAcl", "GetObjectVersionAcl"]),
  ...spoken("object", "WRITE_ACP", ["PutObjectAcl", "PutObjectVersionAcl"]),
])

/** Whose list speaks of an action (`s3:GetObject`); undefined: none does. */
export const aclSpeakingOf = (action: string): AclResource | undefined => SPOKEN_OF.get(action)?.of

/** What a list has to grant for an action; undefined: none speaks of it. */
export const permissionFor = (action: string): AclPermission | undefined => SPOKEN_OF.get(action)?.permission

/** How far a grant to this grantee reaches the caller; undefined: not at all. */
function matchOfGrantee(grantee: Grantee, principal: Principal): AclMatch | undefined {
  if (grantee.kind === "account") {
    return principal.kind !== "anonymous" && principal.accountId === grantee.id ? "account" : undefined
  }
  if (grantee.group === "AllUsers") return "caller"
  return grantee.group === "AuthenticatedUsers" && principal.kind !== "anonymous" ? "caller" : undefined
}

/** What the list that speaks of the action (`aclSpeakingOf`) grants the caller; undefined: nothing. */
export function aclMatch(acl: Acl, principal: Principal, action: string): AclMatch | undefined {
  const found = SPOKEN_OF.get(action)
  if (found === undefined) return undefined
  const isOwner = principal.kind !== "anonymous" && principal.accountId === acl.owner
  let best: AclMatch | undefined = found.isOwners && isOwner ? "account" : undefined
  for (const { grantee, permission } of acl.grants) {
    if (permission !== found.permission && permission !== "FULL_CONTROL") continue
    const match = matchOfGrantee(grantee, principal)
    if (match === "caller") return match
    best = match ?? best
  }
  return best
}
