/**
 * What the caller of one request may do, by all policies that concern it.
 *
 * Promises  Everything is decided by `decide`; who is not let in learns no more than that. Where an object or a version
 *           is not there, only those hear so who may list the bucket with its key as the prefix: for others it is as if they
 *           might not.
 */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES } from "../../access/index.js"
import type {
  AclMatch,
  Decision,
  Keyring,
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
import { after, type Soon } from "../../base/soon.js"
import type { Bucket, ObjectAcl, ObjectInfo, ObjectServices, ObjectTarget, Tags } from "../../object/contract.js"
import type { AccessControl } from "../acl/access-control.js"
import type { BucketSettings } from "../settings/bucket-settings.js"
import { mayHaveLists } from "../settings/ownership-controls.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { Query } from "../wire/query.js"
import { isOfObject, scopeOf } from "./actions.js"
import type { ActionName } from "./actions.js"
import { ConditionValues, headOfListing, makesObject } from "./condition-values-core.js"
import type { BodyContent, Read, RequestHead, Unread } from "./condition-values-core.js"

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

/** What decisions read besides the request. */
export interface PermissionsContext {
  readonly services: Pick<ObjectServices, "objects" | "multipart">
  readonly bucketSettings: BucketSettings
  readonly accessControl: AccessControl
  readonly accounts: Pick<Keyring, "getAccount">
}

/** A request as decisions see it. */
export interface PermissionsRequest {
  readonly signer: Pick<KnownKey, "policies" | "isWholeRoot"> & { readonly principal: Principal }
  /** Of its operation. */
  readonly name: string
  readonly query: Query
  readonly nowMs: number
  /** Made when a policy first asks for it. */
  readonly head: RequestHead
  /** What the body says that conditions may ask for. */
  readBody(): Promise<BodyContent>
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

const ALLOWED: Decided = { decision: { outcome: "allow", by: "root" }, uncounted: undefined }
const NO_OWNER: Decided = { decision: { outcome: "implicitDeny", lacking: ["resource"] }, uncounted: undefined }

export class Permissions {
  private bodyContent: BodyContent | undefined
  private readsFrom: ReadPlace | undefined
  private firstRefused: DeniedAccess | undefined
  /** What objects were judged by: each as it was read, and how to read it again. */
  private judgedBy: { readonly seen: string; readonly read: () => Promise<unknown> }[] | undefined

  constructor(
    private readonly context: PermissionsContext,
    private readonly request: PermissionsRequest,
  ) {}

  /** What was refused first; undefined: nothing. Answers may tell of it key by key. */
  get refused(): DeniedAccess | undefined {
    return this.firstRefused
  }

  /** Throws `accessDenied`. */
  require(action: ActionName, place: Place): Soon<void> {
    return after(this.decide(action, place), ({ decision, uncounted }) => {
      if (decision.outcome === "allow") return undefined
      return after(this.absenceOf(action, place), absence => {
        throw absence ?? this.refuse(action, place, decision, uncounted)
      })
    })
  }

  may(action: ActionName, place: Place): Soon<boolean> {
    return after(this.decide(action, place), ({ decision }) => decision.outcome === "allow")
  }

  /** Whether an object was judged by its list or its tags. */
  get hasJudgedObjects(): boolean {
    return this.judgedBy !== undefined && this.judgedBy.length > 0
  }

  /**
   * Whether another object lies where one was judged: what was opened in between may be the one or the other. It is to be
   * asked for anew then, and judged anew.
   */
  async judgedAnother(): Promise<boolean> {
    const judged = this.judgedBy ?? []
    this.judgedBy = undefined
    for (const { seen, read } of judged) if (JSON.stringify(await read()) !== seen) return true
    return false
  }

  /** What is not found from now on is not found there. */
  readingFrom(place: ReadPlace): void {
    this.readsFrom = place
  }

  /** A failure as the caller may hear it. `key`: the one that is not there, of requests that name several. */
  audible(failure: Failure, key = this.readsFrom?.key): Soon<Failure> {
    if (!isAbsence(failure)) return failure
    const bucket = this.readsFrom?.bucket
    const reason = "what is asked for is not there, which is told only to those who may list the bucket"
    if (bucket === undefined) return fail("accessDenied", { reason })
    const action = LISTING[failure.kind]
    const ofKey = key === undefined ? undefined : () => headOfListing(this.request.head, key)
    return after(this.decide(action, { bucket }, ofKey), ({ decision }) =>
      decision.outcome === "allow" ? failure : this.refuse(action, { bucket }, decision, reason),
    )
  }

  private refuse(action: ActionName, place: Place, decision: Denied, reason: string | undefined): DeniedAccess {
    const { principal } = this.request.signer
    const requested = { principal, action: `s3:${action}`, resource: arnOf(action, place) }
    const refused = new DeniedAccess(requested, decision, { reason, onlyByList: reason === OF_ANOTHER || undefined })
    this.firstRefused ??= refused
    return refused
  }

  /** Where objects let in by their lists, one that is not there lets nobody in: who may list hears that it is not. */
  private absenceOf(action: ActionName, place: Place): Soon<Failure | undefined> {
    return after(this.asksList(action, place), asks => (asks ? this.failureOf(place) : undefined))
  }

  private async failureOf(place: Place): Promise<Failure | undefined> {
    try {
      await this.infoOf(place)
      return undefined
    } catch (error) {
      const failure = asFailure(error)
      return isAbsence(failure) ? failure : undefined
    }
  }

  private decide(action: ActionName, place: Place, head?: () => RequestHead): Soon<Decided> {
    if (this.isOwnersRoot(place.bucket)) return ALLOWED
    return after(this.listOf(action, place), kept =>
      after(this.ownerOf(place.bucket, kept), owner => {
        if (owner === undefined) return NO_OWNER
        return after(this.policiesOf(action, place, owner, kept), counted =>
          this.decideBy(counted, { action, place, owner, head: head ?? (() => this.request.head) }, {}),
        )
      }),
    )
  }

  /** The root user of the account decides alone where the bucket has nothing that could deny it. */
  private isOwnersRoot(bucket: Bucket | undefined): boolean {
    const { isWholeRoot, principal } = this.request.signer
    if (!isWholeRoot || !("arn" in principal)) return false
    if (bucket === undefined) return true
    return bucket.owner === principal.accountId && !bucket.settings.includes("policy") && !mayHaveLists(bucket)
  }

  private decideBy({ policies, uncounted }: Counted<ResourcePolicies>, requested: Deciding, read: Read): Soon<Decided> {
    const { action, place, owner, head } = requested
    const { signer, nowMs } = this.request
    const known = this.bodyContent === undefined ? read : { ...read, body: this.bodyContent }
    const context = new ConditionValues(head, place.versionId, known)
    const { principal } = signer
    const request = { principal, action: `s3:${action}`, resource: arnOf(action, place), owner, nowMs, context }
    const decision = decide(request, signer.policies, policies)
    if (context.unread === undefined) return { decision, uncounted }
    return this.readFor(context.unread, place, known).then(more =>
      this.decideBy({ policies, uncounted }, requested, more),
    )
  }

  private async readFor(unread: ReadonlySet<Unread>, place: Place, known: Read): Promise<Read> {
    return {
      ...known,
      ...(unread.has("existingTags") && { existingTags: await this.tagsOf(place) }),
      ...(unread.has("body") && { body: (this.bodyContent ??= await this.request.readBody()) }),
    }
  }

  /** Undefined: nobody, since what is to be made belongs to who makes it. */
  private ownerOf(bucket: Bucket | undefined, kept: ObjectAcl | undefined): Soon<ResourceOwner | undefined> {
    const { principal } = this.request.signer
    const id = kept?.owner ?? bucket?.owner
    if ("arn" in principal && (id === undefined || id === principal.accountId)) {
      return { accountId: principal.accountId, accountNumber: principal.accountNumber }
    }
    if (id === undefined) return undefined
    return after(
      this.context.accounts.getAccount(id),
      account => account && { accountId: account.id, accountNumber: account.number },
    )
  }

  /** What hangs on the bucket, and on the object that its owner's list `kept` is of, that counts for this caller. */
  private policiesOf(
    action: ActionName,
    { bucket, ...place }: Place,
    owner: ResourceOwner,
    kept: ObjectAcl | undefined,
  ): Soon<Counted<ResourcePolicies>> {
    if (bucket === undefined) return { policies: NO_RESOURCE_POLICIES, uncounted: undefined }
    return after(this.policyOf(action, bucket, owner), ({ policies: policy, uncounted }) =>
      after(this.matchOf(action, { ...place, bucket }, kept), acl => {
        const policies = policy === undefined && acl === undefined ? NO_RESOURCE_POLICIES : { policy, acl }
        return { policies, uncounted }
      }),
    )
  }

  /** What of the bucket's policy counts for this caller. To an object of somebody else it lets nobody in. */
  private policyOf(action: ActionName, bucket: Bucket, owner: ResourceOwner): Soon<Counted<NamedPolicy | undefined>> {
    const { bucketSettings } = this.context
    const { principal } = this.request.signer
    return after(bucketSettings.policy.of(bucket), found => {
      const only = (uncounted: string) => ({ policies: found?.denials, uncounted })
      if (owner.accountId !== bucket.owner) return only(OF_ANOTHER)
      const isOwn = "arn" in principal && principal.accountId === bucket.owner
      const mayUndo = isOwn && principal.kind === "root" && OF_ITS_POLICY.has(action)
      if (found === undefined || mayUndo) return { policies: undefined, uncounted: undefined }
      if (!isOwn && OF_ITS_POLICY.has(action)) return only(OF_THE_OWNER)
      if (isOwn || !found.isPublic) return { policies: found.named, uncounted: undefined }
      return after(publicAccessBlockOf(bucketSettings.publicAccessBlock, bucket), ({ restrictPublicBuckets }) =>
        restrictPublicBuckets ? only(RESTRICTED) : { policies: found.named, uncounted: undefined },
      )
    })
  }

  private matchOf(action: ActionName, place: PlaceInBucket, kept: ObjectAcl | undefined): Soon<AclMatch | undefined> {
    const { context, request } = this
    if (OF_AN_UPLOAD.has(action)) return after(this.hasBegun(place), hasBegun => (hasBegun ? "account" : undefined))
    // Who may put an object there may say at once what its list is.
    const requested = action === "PutObjectAcl" && makesObject(request.name) ? "PutObject" : action
    const { principal } = request.signer
    const match = () => context.accessControl.match(place.bucket, kept, principal, `s3:${requested}`)
    if (!DELETES.has(action)) return match()
    return after(this.owns(place), owns => {
      if (!owns) return undefined
      return after(match(), found => (found === undefined ? undefined : "account"))
    })
  }

  /** Whether what lies there is of the caller's account. */
  private owns(place: PlaceInBucket): Soon<boolean> {
    const { principal } = this.request.signer
    if (!("arn" in principal)) return false
    if (principal.accountId === place.bucket.owner) return true
    return after(this.context.accessControl.counts(place.bucket), counts => {
      if (!counts) return false
      return unlessAbsent(this.infoOf(place)).then(info => info?.acl?.owner === principal.accountId)
    })
  }

  /** Whether the caller is of another account than the bucket's, which has begun the upload that the request names. */
  private hasBegun({ bucket, key }: PlaceInBucket): Soon<boolean> {
    const { principal } = this.request.signer
    if (!("arn" in principal) || principal.accountId === bucket.owner || key === undefined) return false
    return this.isInitiator(bucket, key, principal.accountId)
  }

  private async isInitiator(bucket: Bucket, key: ObjectKey, accountId: AccountId): Promise<boolean> {
    const { multipart } = this.context.services
    try {
      const multipartId = parseMultipartId(this.request.query.get("uploadId") ?? "")
      const { info } = await multipart.listParts({ bucket, key, multipartId, afterPart: 0, max: 0 })
      return info.initiator === accountId
    } catch (error) {
      const failure = asFailure(error)
      if (failure.kind === "noSuchUpload" || failure.kind === "invalidArgument") return false
      throw failure
    }
  }

  /** Whether the owner and the list of an object that is there decide. */
  private asksList(action: ActionName, { bucket }: Place): Soon<boolean> {
    if (bucket === undefined || !mayHaveLists(bucket) || !isOfObject(action)) return false
    const isOfNewObject = action.startsWith("Put") && makesObject(this.request.name)
    return !isOfNewObject && this.context.accessControl.counts(bucket)
  }

  private listOf(action: ActionName, place: Place): Soon<ObjectAcl | undefined> {
    return after(this.asksList(action, place), asks =>
      asks ? this.judging(() => unlessAbsent(this.infoOf(place))).then(info => info?.acl) : undefined,
    )
  }

  private async judging<Found>(read: () => Promise<Found>): Promise<Found> {
    const found = await read()
    this.judgedBy ??= []
    this.judgedBy.push({ seen: JSON.stringify(found), read })
    return found
  }

  private async infoOf(place: Place): Promise<ObjectInfo> {
    const { objects } = this.context.services
    const body = await objects.get({ ...targetOf(place), conditions: {}, headersOnly: true })
    body.close()
    return body.info
  }

  /** None of what is not there. */
  private async tagsOf(place: Place): Promise<Tags> {
    if (place.key === undefined) return []
    const { objects } = this.context.services
    const read = () => unlessAbsent(objects.getTags(targetOf(place)))
    return (
      (await this.judging(async () => ({ of: await unlessAbsent(this.infoOf(place)), ...(await read()) }))).tags ?? []
    )
  }
}

/** What is to be decided. */
interface Deciding {
  readonly action: ActionName
  readonly place: Place
  readonly owner: ResourceOwner
  readonly head: () => RequestHead
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
