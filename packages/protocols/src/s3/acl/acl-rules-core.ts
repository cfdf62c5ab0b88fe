/**
 * Which lists a bucket accepts, and who owns an object that another account writes. Pure.
 *
 * If the bucket owner is enforced, no list applies: a list that grants only the owner something is accepted and has no
 * effect, also `private`, which Amazon refuses; all others are refused, unless the operator has them ignored. Public lists are
 * refused if they are blocked.
 */
import { cannedAcl, isOwnerOnly, isPublicAcl, storedAcl } from "@hayloft/access/index.js"
import type { Acl, CannedAcl, Grant } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { ObjectAcl } from "@hayloft/objects/contract.js"
import type { ObjectOwnership } from "../settings/ownership-controls.js"
import { isHarmless } from "./requested-acl.js"

/** The bucket's rules for lists. */
export interface AclRules {
  readonly bucketOwner: AccountId
  readonly ownership: ObjectOwnership
  readonly blockPublicAcls: boolean
  /** Lists of new objects and buckets that do not apply are accepted without effect, whomever they would grant something. */
  readonly ignoresLists?: boolean
}

/** A requested list whose grantees have been looked up. */
export type StoredAcl =
  | { readonly kind: "canned"; readonly name: CannedAcl }
  | { readonly kind: "grants"; readonly grants: readonly Grant[] }

const PRIVATE: StoredAcl = { kind: "canned", name: "private" }

const listOf = (requested: StoredAcl, owner: AccountId, bucketOwner: AccountId): Acl =>
  requested.kind === "canned" ? cannedAcl(requested.name, owner, bucketOwner) : { owner, grants: requested.grants }

/** Returns true if the list only states what holds if the owner is enforced. */
const givesOwnerAll = (requested: StoredAcl, owner: AccountId): boolean =>
  requested.kind === "canned" ? isHarmless(requested.name) : isOwnerOnly({ owner, grants: requested.grants })

export const isEnforced = ({ ownership }: Pick<AclRules, "ownership">): boolean => ownership === "BucketOwnerEnforced"

function checkPublic(acl: Acl, { blockPublicAcls }: AclRules): Acl {
  if (blockPublicAcls && isPublicAcl(acl)) throw fail("accessDenied", { reason: "BlockPublicAcls" })
  return acl
}

/**
 * The list that is stored with a new object. `writer` is the account that writes it; undefined for
 * an anonymous writer, whose objects belong to the bucket's owner. Throws `aclNotSupported`, `accessDenied`.
 */
export function newObjectAcl(
  requested: StoredAcl | undefined,
  writer: AccountId | undefined,
  rules: AclRules,
): ObjectAcl | undefined {
  const { bucketOwner, ownership } = rules
  const wanted = requested ?? PRIVATE
  if (isEnforced(rules)) {
    if (requested === undefined || rules.ignoresLists === true || givesOwnerAll(requested, bucketOwner))
      return undefined
    throw fail("aclNotSupported")
  }
  const isHandedOver = wanted.kind === "canned" && wanted.name === "bucket-owner-full-control"
  const isBucketOwners = writer === undefined || (ownership === "BucketOwnerPreferred" && isHandedOver)
  const owner = isBucketOwners ? bucketOwner : writer
  return storedAcl(checkPublic(listOf(wanted, owner, bucketOwner), rules), bucketOwner)
}

/**
 * The list that replaces that of a bucket or object of `owner`; undefined if nothing changes. Throws
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
  const isIgnored = rules.ignoresLists === true && isEnforced(rules)
  const acl = listOf((isIgnored ? undefined : requested) ?? PRIVATE, rules.bucketOwner, rules.bucketOwner)
  if (isEnforced(rules) && !isOwnerOnly(acl)) throw fail("aclWithOwnership")
  if (rules.blockPublicAcls && isPublicAcl(acl)) throw fail("aclWithAccessBlock")
  return acl
}
