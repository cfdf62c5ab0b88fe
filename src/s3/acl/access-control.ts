/**
 * The access control lists of buckets and objects: read for whoever decides, shown to whoever asks, and made
 * from what a client asks for.
 *
 * A bucket's list is a setting of it, an object's lies with its version (`ObjectInfo.acl`); either is nothing where
 * the owner has full control and nobody else anything.
 */
import { aclOfObject, aclMatch, aclResourceFor, ownerOnly, withoutPublic } from "../../access/index.js"
import type { Acl, AclMatch, Grant, Grantee, Principal } from "../../access/index.js"
import type { Accounts } from "../../access/contract.js"
import { fail } from "../../base/failures.js"
import { after, type Soon } from "../../base/soon.js"
import type { AccountId } from "../../base/ids.js"
import type { Bucket, ObjectAcl } from "../../object/contract.js"
import type { BucketSettings } from "../settings/bucket-settings.js"
import { mayHaveLists, objectOwnershipOf } from "../settings/ownership-controls.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { AclRules, StoredAcl } from "./acl-rules-core.js"
import { isEnforced } from "./acl-rules-core.js"
import type { RequestedAcl, RequestedGrant, RequestedGrantee } from "./asked-acl.js"

/** Whom a list can name. */
export type Grantees = Pick<Accounts, "getAccount" | "listAccounts">

/** Rules, and what they say of lists that are there. */
export interface BucketAclRules extends AclRules {
  readonly ignorePublicAcls: boolean
}

export class AccessControl {
  constructor(
    private readonly settings: BucketSettings,
    private readonly accounts: Grantees,
  ) {}

  rulesOf(bucket: Bucket): Soon<BucketAclRules> {
    return after(objectOwnershipOf(this.settings.objectOwnership, bucket), ownership =>
      after(publicAccessBlockOf(this.settings.publicAccessBlock, bucket), ({ blockPublicAcls, ignorePublicAcls }) => {
        return { bucketOwner: bucket.owner, ownership, blockPublicAcls, ignorePublicAcls }
      }),
    )
  }

  /** As it is shown, whether it counts or not. */
  listOfBucket(bucket: Bucket): Soon<Acl> {
    return after(this.rulesOf(bucket), rules =>
      isEnforced(rules)
        ? ownerOnly(bucket.owner)
        : after(this.settings.acl.of(bucket), list => list ?? ownerOnly(bucket.owner)),
    )
  }

  /** The same of an object; `kept` is what its version has. Its owner is the object's. */
  listOfObject(bucket: Bucket, kept: ObjectAcl | undefined): Soon<Acl> {
    return after(this.rulesOf(bucket), rules =>
      isEnforced(rules) ? ownerOnly(bucket.owner) : aclOfObject(kept, bucket.owner),
    )
  }

  /** Whether lists count in it, and with them who wrote what. */
  counts(bucket: Bucket): Soon<boolean> {
    return mayHaveLists(bucket) && after(this.rulesOf(bucket), rules => !isEnforced(rules))
  }

  /**
   * What the list that speaks of an action (`s3:GetObject`) grants the caller: the bucket's, or the object's, of
   * which `kept` is what its version has. Undefined: nothing.
   */
  match(bucket: Bucket, kept: ObjectAcl | undefined, principal: Principal, action: string): Soon<AclMatch | undefined> {
    if (!mayHaveLists(bucket)) return undefined
    const speaking = aclResourceFor(action)
    if (speaking === undefined) return undefined
    return after(this.rulesOf(bucket), ({ ignorePublicAcls }) =>
      after(speaking === "bucket" ? this.listOfBucket(bucket) : this.listOfObject(bucket, kept), acl =>
        aclMatch(ignorePublicAcls ? withoutPublic(acl) : acl, principal, action),
      ),
    )
  }

  /** What accounts are called, of all that a list names. */
  namesIn({ owner, grants }: Acl): Promise<ReadonlyMap<AccountId, string>> {
    return this.namesOf([owner, ...grants.flatMap(({ grantee }) => (grantee.kind === "account" ? [grantee.id] : []))])
  }

  /** What accounts are called, of those that there are. */
  async namesOf(ids: Iterable<AccountId>): Promise<ReadonlyMap<AccountId, string>> {
    const names = new Map<AccountId, string>()
    for (const id of new Set(ids)) {
      const account = await this.accounts.getAccount(id)
      if (account !== undefined) names.set(id, account.displayName)
    }
    return names
  }

  /**
   * Throws `invalidArgument`, `unresolvableGrant` and `ambiguousGrant` for grantees that are no account; for any but
   * the owner `aclNotSupported` where that is enforced, and looks nobody up.
   */
  async findFor(bucket: Bucket, requested: RequestedAcl): Promise<StoredAcl> {
    const isOwners = ({ grantee }: RequestedGrant) => grantee.kind === "account" && grantee.id === bucket.owner
    const grantsMore = requested.kind === "grants" && !requested.grants.every(isOwners)
    if (grantsMore && isEnforced(await this.rulesOf(bucket))) throw fail("aclNotSupported")
    return this.find(requested)
  }

  /** The same of a bucket that is not yet there. */
  async find(requested: RequestedAcl): Promise<StoredAcl> {
    if (requested.kind === "canned") return requested
    const grants: Grant[] = []
    for (const { grantee, permission } of requested.grants)
      grants.push({ grantee: await this.findGrantee(grantee), permission })
    return { kind: "grants", grants }
  }

  private async findGrantee(requested: RequestedGrantee): Promise<Grantee> {
    if (requested.kind === "group") return requested
    if (requested.kind === "email") return { kind: "account", id: await this.accountOfEmail(requested.email) }
    if ((await this.accounts.getAccount(requested.id)) !== undefined) return requested
    throw fail("invalidArgument", {
      message: "Invalid id",
      argumentName: "CanonicalUser/ID",
      argumentValue: requested.id,
    })
  }

  private async accountOfEmail(email: string): Promise<AccountId> {
    const wanted = email.toLowerCase()
    const [only, second] = (await this.accounts.listAccounts()).filter(one => one.email.toLowerCase() === wanted)
    if (only === undefined || wanted === "") throw fail("unresolvableGrant", { email: email.slice(0, 200) })
    if (second !== undefined) throw fail("ambiguousGrant", { email: email.slice(0, 200) })
    return only.id
  }
}
