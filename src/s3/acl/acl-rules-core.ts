/**
 * Which lists a bucket takes, and whose an object is that somebody writes. Pure.
 *
 * Where the bucket's owner is enforced, no list counts: what says no more than that the bucket's owner has full control
 * is taken, and changes nothing; all else is refused, `private` too, as on Amazon. Where public lists are blocked, those
 * are refused.
 */
import { cannedAcl, isOwnerOnly, isPublicAcl, storedAcl } from "../../access/index.js"
import type { Acl, CannedAcl, Grant } from "../../access/index.js"
import { fail } from "../../base/failures.js"
import type { AccountId } from "../../base/ids.js"
import type { ObjectAcl } from "../../object/contract.js"
import type { ObjectOwnership } from "../settings/ownership-controls.js"

/** What a bucket says of lists. */
export interface AclRules {
  readonly bucketOwner: AccountId
  readonly ownership: ObjectOwnership
  readonly blockPublicAcls: boolean
}

/** A list that is asked for, with everybody in it found. */
export type StoredAcl =
  { readonly kind: "canned"; readonly name: CannedAcl } | { readonly kind: "grants"; readonly grants: readonly Grant[] }

const PRIVATE: StoredAcl = { kind: "canned", name: "private" }

const listOf = (requested: StoredAcl, owner: AccountId, bucketOwner: AccountId): Acl =>
  requested.kind === "canned" ? cannedAcl(requested.name, owner, bucketOwner) : { owner, grants: requested.grants }

/** What holds wherever the owner is enforced. */
const givesOwnerAll = (requested: StoredAcl, owner: AccountId): boolean =>
  requested.kind === "canned"
    ? requested.name === "bucket-owner-full-control"
    : isOwnerOnly({ owner, grants: requested.grants })

export const isEnforced = ({ ownership }: Pick<AclRules, "ownership">): boolean => ownership === "BucketOwnerEnforced"

function checkPublic(acl: Acl, { blockPublicAcls }: AclRules): Acl {
  if (blockPublicAcls && isPublicAcl(acl)) throw fail("accessDenied", { reason: "BlockPublicAcls" })
  return acl
}

/**
 * What is to be kept of the list of an object that is written. `writer`: the account that does; undefined for
 * nobody's, whose objects are the bucket owner's. Throws `aclNotSupported`, `accessDenied`.
 */
export function newObjectAcl(
  requested: StoredAcl | undefined,
  writer: AccountId | undefined,
  rules: AclRules,
): ObjectAcl | undefined {
  const { bucketOwner, ownership } = rules
  const wanted = requested ?? PRIVATE
  if (isEnforced(rules)) {
    if (requested === undefined || givesOwnerAll(requested, bucketOwner)) return undefined
    throw fail("aclNotSupported")
  }
  const isHandedOver = wanted.kind === "canned" && wanted.name === "bucket-owner-full-control"
  const isBucketOwners = writer === undefined || (ownership === "BucketOwnerPreferred" && isHandedOver)
  const owner = isBucketOwners ? bucketOwner : writer
  return storedAcl(checkPublic(listOf(wanted, owner, bucketOwner), rules), bucketOwner)
}

/**
 * The list that something of `owner` gets in place of its own; undefined: it stays as it is. Throws
 * `aclNotSupported`, `accessDenied`.
 */
export function changedAcl(requested: StoredAcl, owner: AccountId, rules: AclRules): Acl | undefined {
  const acl = listOf(requested, owner, rules.bucketOwner)
  if (!isEnforced(rules)) return checkPublic(acl, rules)
  if (givesOwnerAll(requested, owner)) return undefined
  throw fail("aclNotSupported")
}

/** The list of a new bucket. Throws `aclWithOwnership`, `aclWithAccessBlock`. */
export function newBucketAcl(requested: StoredAcl | undefined, rules: AclRules): Acl {
  const acl = listOf(requested ?? PRIVATE, rules.bucketOwner, rules.bucketOwner)
  if (isEnforced(rules) && !isOwnerOnly(acl)) throw fail("aclWithOwnership")
  if (rules.blockPublicAcls && isPublicAcl(acl)) throw fail("aclWithAccessBlock")
  return acl
}
