/**
 * What the caller of one request may do, by all policies that concern it.
 *
 * Promises  Everything is decided by `decide`; who is not let in learns no more than that. Where an object or a version
 *           is not there, only those hear so who may list the bucket: for others it is as if they might not.
 */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES } from "../../access/index.js"
import type {
  Account,
  Decision,
  Denied,
  KnownKey,
  Principal,
  ResourceOwner,
  ResourcePolicies,
} from "../../access/index.js"
import { asFailure, fail, isFailure } from "../../base/failures.js"
import type { Failure } from "../../base/failures.js"
import { textOfObjectKey } from "../../base/ids.js"
import type { AccountId, BucketName, ObjectKey, VersionId } from "../../base/ids.js"
import type { Bucket, Objects, Tags } from "../../object/contract.js"
import type { BucketPolicy } from "../settings/bucket-policy.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { PublicAccessBlock } from "../settings/public-access-block.js"
import type { SettingReader } from "../settings/setting.js"
import { scopeOf } from "./actions.js"
import type { ActionName } from "./actions.js"
import { ConditionValues } from "./condition-values-core.js"
import type { BodySays, Read, RequestHead } from "./condition-values-core.js"

/** What is acted on; without a bucket, nothing in particular. */
export interface Place {
  readonly bucket?: Bucket
  /** One that is to be made. */
  readonly newBucket?: BucketName
  readonly key?: ObjectKey
  readonly versionId?: VersionId | undefined
}

export interface AuthorityScene {
  readonly caller: Pick<KnownKey, "policies"> & { readonly principal: Principal }
  readonly head: RequestHead
  readonly objects: Objects
  readonly bucketPolicies: SettingReader<BucketPolicy>
  readonly publicAccessBlocks: SettingReader<PublicAccessBlock>
  /** Undefined: of nobody who is known. */
  readonly accountOf: (id: AccountId) => Account | undefined
  /** What the body says that conditions may ask for. */
  readonly readBody: () => Promise<BodySays>
}

const EVERYTHING = "arn:aws:s3:::*"

/** The ARN of what an action acts on. */
function arnOf(action: ActionName, { bucket, newBucket, key }: Place): string {
  const scope = scopeOf(action)
  const name = bucket?.name ?? newBucket
  if (scope === "service" || name === undefined) return EVERYTHING
  const arn = `arn:aws:s3:::${name}`
  return scope === "bucket" ? arn : `${arn}/${textOfObjectKey(key ?? "")}`
}

/** The owner's root user can always undo what a policy has done. */
const OF_ITS_POLICY: ReadonlySet<ActionName> = new Set(["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"])

const RESTRICTED =
  "the policy of the bucket lets in everybody, so that RestrictPublicBuckets of its public access block keeps others than its owner's account out"

const LISTING = { noSuchKey: "ListBucket", noSuchVersion: "ListBucketVersions" } as const

export class Authority {
  private bodySays: BodySays | undefined
  private readsFrom: Bucket | undefined
  private firstRefused: DeniedAccess | undefined
  /** Why what hangs on the bucket did not count in the last decision. */
  private uncounted: string | undefined

  constructor(private readonly scene: AuthorityScene) {}

  /** What was refused first; undefined: nothing. Answers may tell of it key by key. */
  get refused(): DeniedAccess | undefined {
    return this.firstRefused
  }

  /** Throws `accessDenied`. */
  async require(action: ActionName, place: Place): Promise<void> {
    const decision = await this.decide(action, place)
    if (decision.outcome !== "allow") throw this.refuse(action, place, decision, this.uncounted)
  }

  async may(action: ActionName, place: Place): Promise<boolean> {
    return (await this.decide(action, place)).outcome === "allow"
  }

  /** What is not found from now on is not found in this bucket. */
  readingFrom(bucket: Bucket): void {
    this.readsFrom = bucket
  }

  /** A failure as the caller may hear it. */
  async audible(failure: Failure): Promise<Failure> {
    if (failure.kind !== "noSuchKey" && failure.kind !== "noSuchVersion") return failure
    const { readsFrom: bucket } = this
    const reason = "what is asked for is not there, which is told only to those who may list the bucket"
    if (bucket === undefined) return fail("accessDenied", { reason })
    const action = LISTING[failure.kind]
    const decision = await this.decide(action, { bucket })
    return decision.outcome === "allow" ? failure : this.refuse(action, { bucket }, decision, reason)
  }

  private refuse(action: ActionName, place: Place, decision: Denied, reason: string | undefined): DeniedAccess {
    const { principal } = this.scene.caller
    const asked = { principal, action: `s3:${action}`, resource: arnOf(action, place) }
    const refused = new DeniedAccess(asked, decision, { reason })
    this.firstRefused ??= refused
    return refused
  }

  private async decide(action: ActionName, place: Place): Promise<Decision> {
    const { caller, head } = this.scene
    this.uncounted = undefined
    const owner = this.ownerOf(place)
    if (owner === undefined) return { outcome: "implicitDeny", lacking: ["resource"] }
    const resourcePolicies = await this.policiesOf(action, place, owner)
    const request = {
      principal: caller.principal,
      action: `s3:${action}`,
      resource: arnOf(action, place),
      owner,
      nowMs: head.nowMs,
    }
    let read: Read = this.bodySays === undefined ? {} : { body: this.bodySays }
    for (;;) {
      const context = new ConditionValues(head, place.versionId, read)
      const decision = decide({ ...request, context }, caller.policies, resourcePolicies)
      if (context.unread.size === 0) return decision
      read = {
        ...read,
        ...(context.unread.has("existingTags") && { existingTags: await this.tagsOf(place) }),
        ...(context.unread.has("body") && { body: (this.bodySays ??= await this.scene.readBody()) }),
      }
    }
  }

  /** Undefined: nobody, since what is to be made belongs to who makes it. */
  private ownerOf({ bucket }: Place): ResourceOwner | undefined {
    const { principal } = this.scene.caller
    if ("arn" in principal && (bucket === undefined || bucket.owner === principal.accountId)) {
      return { accountId: principal.accountId, accountNumber: principal.accountNumber }
    }
    const account = bucket && this.scene.accountOf(bucket.owner)
    return account && { accountId: account.id, accountNumber: account.number }
  }

  /** What hangs on the bucket that counts for this caller. What an access control list grants belongs here too. */
  private async policiesOf(action: ActionName, { bucket }: Place, owner: ResourceOwner): Promise<ResourcePolicies> {
    if (bucket === undefined) return NO_RESOURCE_POLICIES
    const { bucketPolicies, publicAccessBlocks, caller } = this.scene
    const { principal } = caller
    const found = await bucketPolicies.of(bucket)
    const isOwn = "arn" in principal && principal.accountNumber === owner.accountNumber
    if (found === undefined || (isOwn && principal.kind === "root" && OF_ITS_POLICY.has(action))) {
      return NO_RESOURCE_POLICIES
    }
    if (!isOwn && found.isPublic && (await publicAccessBlockOf(publicAccessBlocks, bucket)).restrictPublicBuckets) {
      this.uncounted = RESTRICTED
      return NO_RESOURCE_POLICIES
    }
    return { policy: found.named, acl: undefined }
  }

  /** None of what is not there. */
  private async tagsOf({ bucket, key, versionId }: Place): Promise<Tags> {
    if (bucket === undefined || key === undefined) return []
    try {
      const target = { bucket, key, ...(versionId !== undefined && { versionId }) }
      return (await this.scene.objects.getTags(target)).tags
    } catch (error) {
      if (isFailure(error, "noSuchKey") || isFailure(error, "noSuchVersion") || isFailure(error, "isDeleteMarker")) {
        return []
      }
      throw asFailure(error)
    }
  }
}
