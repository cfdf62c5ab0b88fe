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
export type FoundAcl =
  { readonly kind: "canned"; readonly name: CannedAcl } | { readonly kind: "grants"; readonly grants: readonly Grant[] }

const PRIVATE: FoundAcl = { kind: "canned", name: "private" }

const listOf = (asked: FoundAcl, owner: AccountId, bucketOwner: AccountId): Acl =>
  asked.kind === "canned" ? cannedAcl(asked.name, owner, bucketOwner) : { owner, grants: asked.grants }

/** What holds wherever the owner is enforced. */
const saysOwnerHasAll = (asked: FoundAcl, owner: AccountId): boolean =>
  asked.kind === "canned" ? asked.name === "bucket-owner-full-control" : isOwnerOnly({ owner, grants: asked.grants })

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
  asked: FoundAcl | undefined,
  writer: AccountId | undefined,
  rules: AclRules,
): ObjectAcl | undefined {
  const { bucketOwner, ownership } = rules
  const wanted = asked ?? PRIVATE
  if (isEnforced(rules)) {
    if (asked === undefined || saysOwnerHasAll(asked, bucketOwner)) return undefined
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
export function changedAcl(asked: FoundAcl, owner: AccountId, rules: AclRules): Acl | undefined {
  const acl = listOf(asked, owner, rules.bucketOwner)
  if (!isEnforced(rules)) return checkPublic(acl, rules)
  if (saysOwnerHasAll(asked, owner)) return undefined
  throw fail("aclNotSupported")
}

/** The list of a new bucket. Throws `aclWithOwnership`, `aclWithAccessBlock`. */
export function newBucketAcl(asked: FoundAcl | undefined, rules: AclRules): Acl {
  const acl = listOf(asked ?? PRIVATE, rules.bucketOwner, rules.bucketOwner)
  if (isEnforced(rules) && !isOwnerOnly(acl)) throw fail("aclWithOwnership")
  if (rules.blockPublicAcls && isPublicAcl(acl)) throw fail("aclWithAccessBlock")
  return acl
}
