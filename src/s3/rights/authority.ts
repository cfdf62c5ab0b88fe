/**
 * What the caller of one request may do, by all policies that concern it.
 *
 * Promises  Everything is decided by `decide`; who is not let in learns no more than that. Where an object or a version
 *           is not there, only those hear so who may list the bucket with its key as the prefix: for others it is as if they
 *           might not.
 */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES } from "../../access/index.js"
import type {
  AclReach,
  Account,
  Decision,
  Denied,
  KnownKey,
  NamedPolicy,
  Principal,
  ResourceOwner,
  ResourcePolicies,
} from "../../access/index.js"
import { asFailure, fail } from "../../base/failures.js"
import type { Failure } from "../../base/failures.js"
import { parseMultipartId, textOfObjectKey } from "../../base/ids.js"
import type { AccountId, BucketName, ObjectKey, VersionId } from "../../base/ids.js"
import type { Bucket, Multipart, ObjectAcl, ObjectInfo, Objects, ObjectTarget, Tags } from "../../object/contract.js"
import type { AccessControl } from "../acl/access-control.js"
import type { BucketPolicy } from "../settings/bucket-policy.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { PublicAccessBlock } from "../settings/public-access-block.js"
import type { SettingReader } from "../settings/setting.js"
import { isOfObject, scopeOf } from "./actions.js"
import type { ActionName } from "./actions.js"
import { ConditionValues, headOfListing, makesObject } from "./condition-values-core.js"
import type { BodySays, Read, RequestHead } from "./condition-values-core.js"

/** What is acted on; without a bucket, nothing in particular. */
export interface Place {
  readonly bucket?: Bucket
  /** One that is to be made. */
  readonly newBucket?: BucketName
  readonly key?: ObjectKey
  readonly versionId?: VersionId | undefined
}

/** Where a request reads; without a key, in the bucket as a whole. */
type ReadPlace = Pick<Place, "key"> & { readonly bucket: Bucket }

type PlaceInBucket = Place & { readonly bucket: Bucket }

export interface AuthorityScene {
  readonly caller: Pick<KnownKey, "policies"> & { readonly principal: Principal }
  readonly head: RequestHead
  readonly objects: Objects
  readonly multipart: Multipart
  readonly bucketPolicies: SettingReader<BucketPolicy>
  readonly publicAccessBlocks: SettingReader<PublicAccessBlock>
  readonly accessControl: AccessControl
  /** Undefined: of nobody who is known. */
  readonly accountOf: (id: AccountId) => Account | undefined
  /** What the body says that conditions may ask for. */
  readonly readBody: () => Promise<BodySays>
}

const EVERYTHING = "arn:aws:s3:::*"

/** The ARN of what an action acts on. */
export function arnOf(action: ActionName, { bucket, newBucket, key }: Place): string {
  const scope = scopeOf(action)
  const name = bucket?.name ?? newBucket
  if (scope === "service" || name === undefined) return EVERYTHING
  const arn = `arn:aws:s3:::${name}`
  return scope === "bucket" ? arn : `${arn}/${textOfObjectKey(key ?? "")}`
}

/** For the account of the owner only; its root user can always undo what a policy has done. */
const OF_ITS_POLICY: ReadonlySet<ActionName> = new Set(["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"])

/** Who has begun an upload may see its parts and give it up. */
const OF_AN_UPLOAD: ReadonlySet<ActionName> = new Set(["ListMultipartUploadParts", "AbortMultipartUpload"])

/** By a list only whoever owns what is deleted, and that as an account: its policies say which of its users. */
const DELETES: ReadonlySet<ActionName> = new Set(["DeleteObject", "DeleteObjectVersion"])

const RESTRICTED =
  "the policy of the bucket lets in everybody, so that RestrictPublicBuckets of its public access block keeps others than its owner's account out"
const OF_THE_OWNER = "the policy of a bucket is for its owner's account only, whomever it lets in"
const OF_ANOTHER = "the object is another account's, whose access control list alone lets others in"

/** What whoever hears that something is not there may do. */
export const LISTING = { noSuchKey: "ListBucket", noSuchVersion: "ListBucketVersions" } as const

const isAbsence = (failure: Failure): failure is Failure & { readonly kind: keyof typeof LISTING } =>
  failure.kind in LISTING

/** What counts, and why something else of the bucket does not. */
interface Counted<Policies> {
  readonly policies: Policies
  readonly uncounted: string | undefined
}

interface Decided {
  readonly decision: Decision
  readonly uncounted: string | undefined
}

export class Authority {
  private bodySays: BodySays | undefined
  private readsFrom: ReadPlace | undefined
  private firstRefused: DeniedAccess | undefined
  /** What objects were judged by: each as it was read, and how to read it again. */
  private judgedBy: { readonly seen: string; readonly read: () => Promise<unknown> }[] = []

  constructor(private readonly scene: AuthorityScene) {}

  /** What was refused first; undefined: nothing. Answers may tell of it key by key. */
  get refused(): DeniedAccess | undefined {
    return this.firstRefused
  }

  /** Throws `accessDenied`. */
  async require(action: ActionName, place: Place): Promise<void> {
    const { decision, uncounted } = await this.decide(action, place)
    if (decision.outcome === "allow") return
    throw (await this.absenceOf(action, place)) ?? this.refuse(action, place, decision, uncounted)
  }

  async may(action: ActionName, place: Place): Promise<boolean> {
    return (await this.decide(action, place)).decision.outcome === "allow"
  }

  /**
   * Whether an object was judged by its list or its tags, and another lies there now: what was opened in between may be the
   * one or the other. It is to be asked for anew then, and judged anew. Of requests that were judged without, it reads nothing.
   */
  async judgedAnother(): Promise<boolean> {
    const judged = this.judgedBy
    this.judgedBy = []
    for (const { seen, read } of judged) if (JSON.stringify(await read()) !== seen) return true
    return false
  }

  /** What is not found from now on is not found there. */
  readingFrom(place: ReadPlace): void {
    this.readsFrom = place
  }

  /** A failure as the caller may hear it. `key`: the one that is not there, of requests that name several. */
  async audible(failure: Failure, key = this.readsFrom?.key): Promise<Failure> {
    if (!isAbsence(failure)) return failure
    const bucket = this.readsFrom?.bucket
    const reason = "what is asked for is not there, which is told only to those who may list the bucket"
    if (bucket === undefined) return fail("accessDenied", { reason })
    const action = LISTING[failure.kind]
    const { head } = this.scene
    const { decision } = await this.decide(action, { bucket }, key === undefined ? head : headOfListing(head, key))
    return decision.outcome === "allow" ? failure : this.refuse(action, { bucket }, decision, reason)
  }

  private refuse(action: ActionName, place: Place, decision: Denied, reason: string | undefined): DeniedAccess {
    const { principal } = this.scene.caller
    const asked = { principal, action: `s3:${action}`, resource: arnOf(action, place) }
    const refused = new DeniedAccess(asked, decision, { reason, onlyByList: reason === OF_ANOTHER || undefined })
    this.firstRefused ??= refused
    return refused
  }

  /** Where objects let in by their lists, one that is not there lets nobody in: who may list hears that it is not. */
  private async absenceOf(action: ActionName, place: Place): Promise<Failure | undefined> {
    if (!(await this.asksList(action, place))) return undefined
    try {
      await this.infoOf(place)
      return undefined
    } catch (error) {
      const failure = asFailure(error)
      return isAbsence(failure) ? failure : undefined
    }
  }

  private async decide(action: ActionName, place: Place, head = this.scene.head): Promise<Decided> {
    const { caller } = this.scene
    const kept = await this.listOf(action, place)
    const owner = this.ownerOf(place.bucket, kept)
    if (owner === undefined) {
      return { decision: { outcome: "implicitDeny", lacking: ["resource"] }, uncounted: undefined }
    }
    const { policies, uncounted } = await this.policiesOf(action, place, owner, kept)
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
      const decision = decide({ ...request, context }, caller.policies, policies)
      if (context.unread.size === 0) return { decision, uncounted }
      read = {
        ...read,
        ...(context.unread.has("existingTags") && { existingTags: await this.tagsOf(place) }),
        ...(context.unread.has("body") && { body: (this.bodySays ??= await this.scene.readBody()) }),
      }
    }
  }

  /** Undefined: nobody, since what is to be made belongs to who makes it. */
  private ownerOf(bucket: Bucket | undefined, kept: ObjectAcl | undefined): ResourceOwner | undefined {
    const { principal } = this.scene.caller
    const id = kept?.owner ?? bucket?.owner
    if ("arn" in principal && (id === undefined || id === principal.accountId)) {
      return { accountId: principal.accountId, accountNumber: principal.accountNumber }
    }
    const account = id === undefined ? undefined : this.scene.accountOf(id)
    return account && { accountId: account.id, accountNumber: account.number }
  }

  /** What hangs on the bucket, and on the object that its owner's list `kept` is of, that counts for this caller. */
  private async policiesOf(
    action: ActionName,
    { bucket, ...place }: Place,
    owner: ResourceOwner,
    kept: ObjectAcl | undefined,
  ): Promise<Counted<ResourcePolicies>> {
    if (bucket === undefined) return { policies: NO_RESOURCE_POLICIES, uncounted: undefined }
    const { policies: policy, uncounted } = await this.policyOf(action, bucket, owner)
    const acl = await this.reachOf(action, { ...place, bucket }, kept)
    const policies = policy === undefined && acl === undefined ? NO_RESOURCE_POLICIES : { policy, acl }
    return { policies, uncounted }
  }

  /** What of the bucket's policy counts for this caller. To an object of somebody else it lets nobody in. */
  private async policyOf(
    action: ActionName,
    bucket: Bucket,
    owner: ResourceOwner,
  ): Promise<Counted<NamedPolicy | undefined>> {
    const { bucketPolicies, publicAccessBlocks, caller } = this.scene
    const { principal } = caller
    const found = await bucketPolicies.of(bucket)
    const only = (uncounted: string) => ({ policies: found?.denials, uncounted })
    if (owner.accountId !== bucket.owner) return only(OF_ANOTHER)
    const isOwn = "arn" in principal && principal.accountId === bucket.owner
    const mayUndo = isOwn && principal.kind === "root" && OF_ITS_POLICY.has(action)
    if (found === undefined || mayUndo) return { policies: undefined, uncounted: undefined }
    if (!isOwn && OF_ITS_POLICY.has(action)) return only(OF_THE_OWNER)
    const isShut =
      !isOwn && found.isPublic && (await publicAccessBlockOf(publicAccessBlocks, bucket)).restrictPublicBuckets
    return isShut ? only(RESTRICTED) : { policies: found.named, uncounted: undefined }
  }

  private async reachOf(
    action: ActionName,
    place: PlaceInBucket,
    kept: ObjectAcl | undefined,
  ): Promise<AclReach | undefined> {
    const { accessControl, caller, head } = this.scene
    if (OF_AN_UPLOAD.has(action)) return (await this.hasBegun(place)) ? "account" : undefined
    if (DELETES.has(action) && !(await this.owns(place))) return undefined
    // Who may put an object there may say at once what its list is.
    const asked = action === "PutObjectAcl" && makesObject(head.operation) ? "PutObject" : action
    const reach = await accessControl.reach(place.bucket, kept, caller.principal, `s3:${asked}`)
    return reach !== undefined && DELETES.has(action) ? "account" : reach
  }

  /** Whether what lies there is of the caller's account. */
  private async owns(place: PlaceInBucket): Promise<boolean> {
    const { accessControl, caller } = this.scene
    const { principal } = caller
    if (!("arn" in principal)) return false
    if (principal.accountId === place.bucket.owner) return true
    if (!(await accessControl.counts(place.bucket))) return false
    return (await unlessAbsent(this.infoOf(place)))?.acl?.owner === principal.accountId
  }

  /** Whether the caller is of another account than the bucket's, which has begun the upload that the request names. */
  private async hasBegun({ bucket, key }: PlaceInBucket): Promise<boolean> {
    const { caller, head, multipart } = this.scene
    const { principal } = caller
    if (!("arn" in principal) || principal.accountId === bucket.owner || key === undefined) return false
    try {
      const multipartId = parseMultipartId(head.query.get("uploadId") ?? "")
      const { info } = await multipart.listParts({ bucket, key, multipartId, afterPart: 0, max: 0 })
      return info.initiator === principal.accountId
    } catch (error) {
      const failure = asFailure(error)
      if (failure.kind === "noSuchUpload" || failure.kind === "invalidArgument") return false
      throw failure
    }
  }

  /** Whether the owner and the list of an object that is there decide. */
  private async asksList(action: ActionName, { bucket }: Place): Promise<boolean> {
    const isOfNewObject = action.startsWith("Put") && makesObject(this.scene.head.operation)
    if (bucket === undefined || !isOfObject(action) || isOfNewObject) return false
    return this.scene.accessControl.counts(bucket)
  }

  private async listOf(action: ActionName, place: Place): Promise<ObjectAcl | undefined> {
    if (!(await this.asksList(action, place))) return undefined
    return (await this.judging(() => unlessAbsent(this.infoOf(place))))?.acl
  }

  private async judging<Found>(read: () => Promise<Found>): Promise<Found> {
    const found = await read()
    this.judgedBy.push({ seen: JSON.stringify(found), read })
    return found
  }

  private async infoOf(place: Place): Promise<ObjectInfo> {
    const body = await this.scene.objects.get({ ...targetOf(place), conditions: {}, headersOnly: true })
    body.close()
    return body.info
  }

  /** None of what is not there. */
  private async tagsOf(place: Place): Promise<Tags> {
    if (place.key === undefined) return []
    const read = () => unlessAbsent(this.scene.objects.getTags(targetOf(place)))
    return (
      (await this.judging(async () => ({ of: await unlessAbsent(this.infoOf(place)), ...(await read()) }))).tags ?? []
    )
  }
}

/** Throws `internal` for what is no object. */
function targetOf({ bucket, key, versionId }: Place): ObjectTarget {
  if (bucket === undefined || key === undefined) throw fail("internal", { reason: "no object is asked for" })
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

/** Undefined where there is no object. */
async function unlessAbsent<Found>(reading: Promise<Found>): Promise<Found | undefined> {
  try {
    return await reading
  } catch (error) {
    const failure = asFailure(error)
    if (isAbsence(failure) || failure.kind === "isDeleteMarker") return undefined
    throw failure
  }
}
