/**
 * The access control lists of buckets and objects: read for decisions, shown to clients, and created
 * from a client's request.
 *
 * A bucket's list is one of its settings; an object's list is stored with its version (`ObjectInfo.acl`). Neither is
 * stored if the owner has full control and nobody else has access.
 */
import { aclOfObject, aclMatch, aclResourceFor, ownerOnly, withoutPublic } from "@hayloft/access/index.js"
import type { Acl, AclMatch, Grant, Grantee, Principal } from "@hayloft/access/index.js"
import type { Accounts } from "@hayloft/access/contract.js"
import { fail } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Bucket, ObjectAcl } from "@hayloft/objects/contract.js"
import type { BucketSettings } from "../settings/bucket-settings.js"
import { mayHaveLists, objectOwnershipOf } from "../settings/ownership-controls.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { AclRules, StoredAcl } from "./acl-rules-core.js"
import { isEnforced } from "./acl-rules-core.js"
import type { RequestedAcl, RequestedGrant, RequestedGrantee } from "./requested-acl.js"

/** Lookup of the accounts that a list can name. */
export type Grantees = Pick<Accounts, "getAccount" | "listAccounts">

/** Rules for lists, including those for existing lists. */
interface BucketAclRules extends AclRules {
  readonly ignorePublicAcls: boolean
}

export class AccessControl {
  constructor(
    private readonly settings: BucketSettings,
    private readonly accounts: Grantees,
    /** Lists of new objects and buckets are ignored where none applies. */
    readonly ignoresLists = false,
  ) {}

  rulesOf(bucket: Bucket): Soon<BucketAclRules> {
    return after(objectOwnershipOf(this.settings.objectOwnership, bucket), ownership =>
      after(publicAccessBlockOf(this.settings.publicAccessBlock, bucket), ({ blockPublicAcls, ignorePublicAcls }) => {
        const { ignoresLists } = this
        return { bucketOwner: bucket.owner, ownership, blockPublicAcls, ignorePublicAcls, ignoresLists }
      }),
    )
  }

  /** The list as shown to clients, whether it applies or not. */
  listOfBucket(bucket: Bucket): Soon<Acl> {
    return after(this.rulesOf(bucket), rules =>
      isEnforced(rules)
        ? ownerOnly(bucket.owner)
        : after(this.settings.acl.of(bucket), list => list ?? ownerOnly(bucket.owner)),
    )
  }

  /** The same for an object; `objectAcl` is the list stored with its version. The list's owner is the object's. */
  listOfObject(bucket: Bucket, objectAcl: ObjectAcl | undefined): Soon<Acl> {
    return after(this.rulesOf(bucket), rules =>
      isEnforced(rules) ? ownerOnly(bucket.owner) : aclOfObject(objectAcl, bucket.owner),
    )
  }

  /** Returns true if lists apply in the bucket, and with them the ownership of objects by their writers. */
  listsApply(bucket: Bucket): Soon<boolean> {
    return mayHaveLists(bucket) && after(this.rulesOf(bucket), rules => !isEnforced(rules))
  }

  /**
   * The match between the caller and the list that governs an action (`s3:GetObject`): the bucket's list, or the
   * object's, which is `objectAcl` as stored with the version. Undefined if the list grants nothing.
   */
  match(
    bucket: Bucket,
    objectAcl: ObjectAcl | undefined,
    principal: Principal,
    action: string,
  ): Soon<AclMatch | undefined> {
    if (!mayHaveLists(bucket)) return undefined
    const governing = aclResourceFor(action)
    if (governing === undefined) return undefined
    return after(this.rulesOf(bucket), ({ ignorePublicAcls }) =>
      after(governing === "bucket" ? this.listOfBucket(bucket) : this.listOfObject(bucket, objectAcl), acl =>
        aclMatch(ignorePublicAcls ? withoutPublic(acl) : acl, principal, action),
      ),
    )
  }

  /** Display names of all accounts that a list names. */
  namesIn({ owner, grants }: Acl): Promise<ReadonlyMap<AccountId, string>> {
    return this.namesOf([owner, ...grants.flatMap(({ grantee }) => (grantee.kind === "account" ? [grantee.id] : []))])
  }

  /** Display names of those accounts that exist. */
  async namesOf(ids: Iterable<AccountId>): Promise<ReadonlyMap<AccountId, string>> {
    const names = new Map<AccountId, string>()
    for (const id of new Set(ids)) {
      const account = await this.accounts.getAccount(id)
      if (account !== undefined) names.set(id, account.displayName)
    }
    return names
  }

  /**
   * Throws `invalidArgument`, `unresolvableGrant` and `ambiguousGrant` for grantees without an account. If the bucket
   * owner is enforced, throws `aclNotSupported` for any other grantee, without a lookup.
   */
  async findFor(bucket: Bucket, requested: RequestedAcl): Promise<StoredAcl> {
    const isOwners = ({ grantee }: RequestedGrant) => grantee.kind === "account" && grantee.id === bucket.owner
    const grantsMore = requested.kind === "grants" && !requested.grants.every(isOwners)
    if (grantsMore && isEnforced(await this.rulesOf(bucket))) throw fail("aclNotSupported")
    return this.find(requested)
  }

  /** The same for a bucket that does not exist yet. */
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
