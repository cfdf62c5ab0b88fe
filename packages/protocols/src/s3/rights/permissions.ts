/**
 * The permissions of one request's caller, by all policies that apply to it.
 *
 * Promises  `decide` makes every decision; a refused caller learns nothing but the refusal. Only callers who may list
 *           the bucket with the key as the prefix learn that an object or a version is missing: others get the answer
 *           as if it were denied.
 */
import { decide, DeniedAccess, NO_RESOURCE_POLICIES } from "@hayloft/access/index.js"
import type {
  AclMatch,
  PrincipalMatch,
  Decision,
  Keyring,
  Denied,
  KnownAccessKey,
  NamedPolicy,
  Principal,
  RequestContext,
  ResourceOwner,
  ResourcePolicies,
} from "@hayloft/access/index.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseMultipartId, textOfObjectKey } from "@hayloft/base/ids.js"
import type { AccountId, BucketName, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Bucket, MultipartInfo, ObjectAcl, ObjectInfo } from "@hayloft/objects/contract.js"
import type { ObjectServices, ObjectTarget } from "@hayloft/objects/contract.js"
import type { AccessControl } from "../acl/access-control.js"
import type { Grants, CallerScope } from "../caller.js"
import type { BucketSettings } from "../settings/bucket-settings.js"
import { mayHaveLists } from "../settings/ownership-controls.js"
import { publicAccessBlockOf } from "../settings/public-access-block.js"
import type { RequestQuery } from "../wire/query.js"
import { isOfObject, scopeOf } from "./actions.js"
import type { ActionName } from "./actions.js"
import { ConditionValues, headOfListing, makesObject } from "./condition-values-core.js"
import type { BodyContent, Read, S3RequestHead, Unread } from "./condition-values-core.js"
import { SeenObjects } from "./seen-objects.js"
import type { Tags } from "@hayloft/base/tags.js"

/** The target of an action; without a bucket, no target in particular. */
export interface ActionTarget {
  readonly bucket?: Bucket
  /** A bucket to be created. */
  readonly newBucket?: BucketName
  readonly key?: ObjectKey
  readonly versionId?: VersionId | undefined
}

/** The place that a request reads; without a key, the bucket as a whole. */
type ReadPlace = Pick<ActionTarget, "key"> & { readonly bucket: Bucket }

type PlaceInBucket = ActionTarget & { readonly bucket: Bucket }

/** Context that decisions read besides the request. */
export interface PermissionsContext {
  readonly services: Pick<ObjectServices, "objects" | "multipart">
  readonly bucketSettings: Pick<BucketSettings, "publicAccessBlock"> & {
    readonly policy: Pick<BucketSettings["policy"], "of">
  }
  readonly accessControl: AccessControl
  readonly accounts: Pick<Keyring, "getAccount">
}

/** A request as decisions see it. */
export interface PermissionsRequest {
  readonly signer: Pick<KnownAccessKey, "policies" | "isWholeRoot"> & {
    readonly principal: Principal
    readonly grants?: Grants
    readonly scope?: CallerScope | undefined
  }
  /** The operation's name. */
  readonly name: string
  readonly query: RequestQuery
  readonly nowMs: number
  /** Created when a policy first needs it. */
  readonly head: S3RequestHead
  /** Replaces the values of condition keys that the request has; undefined: it is a request. */
  readonly assumed?: (values: RequestContext) => RequestContext
  /** Reads the part of the body that conditions may refer to. */
  readBody(): Promise<BodyContent>
}

const EVERYTHING = "arn:aws:s3:::*"

/** The ARN of an action's target. */
function arnOf(action: ActionName, { bucket, newBucket, key }: ActionTarget): string {
  const scope = scopeOf(action)
  const name = bucket?.name ?? newBucket
  if (scope === "service" || name === undefined) return EVERYTHING
  const arn = `arn:aws:s3:::${name}`
  return scope === "bucket" ? arn : `${arn}/${textOfObjectKey(key ?? "")}`
}

/** Reserved for the owner's account; its root user can always undo a policy. */
const OF_ITS_POLICY: ReadonlySet<ActionName> = new Set(["GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"])

/** The initiator of an upload may list its parts and abort it. */
const OF_AN_UPLOAD: ReadonlySet<ActionName> = new Set(["ListMultipartUploadParts", "AbortMultipartUpload"])

/** A list allows deletes to the object's owner alone, as an account: its policies decide for its users. */
const DELETES: ReadonlySet<ActionName> = new Set(["DeleteObject", "DeleteObjectVersion"])

const RESTRICTED =
  "the bucket's policy is public, and RestrictPublicBuckets of its public access block admits only the owner's account"
const OF_THE_OWNER = "only the bucket owner's account may use the policy of a bucket, whatever the policy allows"
const OF_ANOTHER = "another account owns the object, and only its access control list can grant access"

/** The action that entitles a caller to learn that something is missing. */
const LISTING = { noSuchKey: "ListBucket", noSuchVersion: "ListBucketVersions" } as const

const isAbsence = (failure: Failure): failure is Failure & { readonly kind: keyof typeof LISTING } =>
  failure.kind in LISTING

/** The policies that apply, and the reason why others of the bucket do not. */
interface Applicable<Policies> {
  readonly policies: Policies
  readonly exclusion: string | undefined
}

export interface Decided {
  readonly decision: Decision
  readonly exclusion: string | undefined
}

const ALLOWED: Decided = { decision: { outcome: "allow", by: "root" }, exclusion: undefined }
const OUT_OF_SCOPE: Decided = {
  decision: { outcome: "implicitDeny", lacking: ["session"] },
  exclusion: "the signature of the request, which is no caller's own, does not allow the action there",
}
const NO_OWNER: Decided = { decision: { outcome: "implicitDeny", lacking: ["resource"] }, exclusion: undefined }

export class Permissions {
  private bodyContent: BodyContent | undefined
  private readPlace: ReadPlace | undefined
  private firstRefused: DeniedAccess | undefined
  /** The objects that decisions were based on, but for those which are noted apart; created for the first one. */
  private seen: SeenObjects | undefined

  constructor(
    private readonly context: PermissionsContext,
    private readonly request: PermissionsRequest,
  ) {}

  /** The first refusal, if there was one. Answers may report further ones for each key. */
  get refused(): DeniedAccess | undefined {
    return this.firstRefused
  }

  /** Throws `accessDenied`. `seen`: notes apart what it depends on, for an object that is opened on its own. */
  require(action: ActionName, place: ActionTarget, seen?: SeenObjects): Soon<void> {
    return after(this.decide(action, place, { seen }), ({ decision, exclusion }) => {
      if (decision.outcome === "allow") return undefined
      return after(this.absenceOf(action, place), absence => {
        throw absence ?? this.refuse(action, place, decision, exclusion)
      })
    })
  }

  /** The decision itself, and the reason why policies of the bucket do not apply. */
  explain(action: ActionName, place: ActionTarget): Soon<Decided> {
    return this.decide(action, place)
  }

  may(action: ActionName, place: ActionTarget): Soon<boolean> {
    return after(this.decide(action, place), ({ decision }) => decision.outcome === "allow")
  }

  /** Returns true if a decision was based on an object's list or its tags. */
  get hasReadObjects(): boolean {
    return this.seen !== undefined && !this.seen.isEmpty
  }

  /**
   * Returns true if an object has been replaced since a decision was based on it: what was opened in between may be
   * either one. The caller must then read again, and decide again.
   */
  async wasObjectReplaced(): Promise<boolean> {
    return this.seen !== undefined && (await this.seen.wereReplaced())
  }

  /** Reads something of an object that an answer takes beside the rest of it, as if a decision were based on it. */
  readSeen<Found>(read: () => Promise<Found>): Promise<Found> {
    return (this.seen ??= new SeenObjects()).note(read)
  }

  /** From now on a missing object or version is reported for this place. */
  setReadPlace(place: ReadPlace): void {
    this.readPlace = place
  }

  /** The failure that the caller may see. `key`: the missing one, for requests that name several. */
  visibleFailure(failure: Failure, key = this.readPlace?.key): Soon<Failure> {
    if (!isAbsence(failure)) return failure
    const bucket = this.readPlace?.bucket
    const reason = "the key or version does not exist, which only callers who may list the bucket learn"
    if (bucket === undefined) return fail("accessDenied", { reason })
    const { grants, scope } = this.request.signer
    // A signature for an action on an object also lets its holder learn that there is none.
    if (scope !== undefined) return failure
    if (grants === undefined) return this.failureForLister(failure, bucket, key, reason)
    return after(grants.match(bucket, "GetObject"), mayRead =>
      mayRead === undefined ? this.failureForLister(failure, bucket, key, reason) : failure,
    )
  }

  private failureForLister(
    failure: Failure & { readonly kind: keyof typeof LISTING },
    bucket: Bucket,
    key: ObjectKey | undefined,
    reason: string,
  ): Soon<Failure> {
    const action = LISTING[failure.kind]
    const head = key === undefined ? undefined : () => headOfListing(this.request.head, key)
    return after(this.decide(action, { bucket }, { head }), ({ decision }) =>
      decision.outcome === "allow" ? failure : this.refuse(action, { bucket }, decision, reason),
    )
  }

  private refuse(action: ActionName, place: ActionTarget, decision: Denied, reason: string | undefined): DeniedAccess {
    const { principal } = this.request.signer
    const requested = { principal, action: `s3:${action}`, resource: arnOf(action, place) }
    const refused = new DeniedAccess(requested, decision, { reason, onlyByList: reason === OF_ANOTHER || undefined })
    this.firstRefused ??= refused
    return refused
  }

  /** If lists of objects apply, a missing object has none: callers who may list the bucket learn that it is missing. */
  private absenceOf(action: ActionName, place: ActionTarget): Soon<Failure | undefined> {
    if (this.request.signer.scope !== undefined) return undefined
    return after(this.objectListDecides(action, place), decides => (decides ? this.failureOf(place) : undefined))
  }

  private async failureOf(place: ActionTarget): Promise<Failure | undefined> {
    try {
      await this.infoOf(place)
      return undefined
    } catch (error) {
      const failure = asFailure(error)
      return isAbsence(failure) ? failure : undefined
    }
  }

  private decide(
    action: ActionName,
    place: ActionTarget,
    { head = () => this.request.head, seen }: DecisionTerms = {},
  ): Soon<Decided> {
    if (this.request.signer.scope?.(place.bucket, action) === false) return OUT_OF_SCOPE
    if (this.isOwnersRoot(place.bucket)) return ALLOWED
    return after(this.listOf(action, place, seen), objectAcl =>
      after(this.ownerOf(place.bucket, objectAcl), owner => {
        if (owner === undefined) return NO_OWNER
        return after(this.policiesOf(action, place, owner, objectAcl), applicable =>
          this.decideBy(applicable, { action, place, owner, head, seen }, {}),
        )
      }),
    )
  }

  /** The account's root user may do everything if the bucket has nothing that could deny it. */
  private isOwnersRoot(bucket: Bucket | undefined): boolean {
    const { isWholeRoot, principal } = this.request.signer
    if (!isWholeRoot || !("arn" in principal)) return false
    if (bucket === undefined) return true
    return bucket.owner === principal.accountId && !bucket.settings.includes("policy") && !mayHaveLists(bucket)
  }

  private decideBy(
    { policies, exclusion }: Applicable<ResourcePolicies>,
    requested: Deciding,
    read: Read,
  ): Soon<Decided> {
    const { action, place, owner, head, seen } = requested
    const { signer, nowMs } = this.request
    const known = this.bodyContent === undefined ? read : { ...read, body: this.bodyContent }
    const values = new ConditionValues(head, place.versionId, known)
    const context = this.request.assumed?.(values) ?? values
    const { principal } = signer
    const request = { principal, action: `s3:${action}`, resource: arnOf(action, place), owner, nowMs, context }
    const decision = decide(request, signer.policies, policies)
    if (values.unread === undefined) return { decision, exclusion }
    return this.readFor(values.unread, place, { known, seen }).then(more =>
      this.decideBy({ policies, exclusion }, requested, more),
    )
  }

  private async readFor(
    unread: ReadonlySet<Unread>,
    place: ActionTarget,
    { known, seen }: { readonly known: Read; readonly seen: SeenObjects | undefined },
  ): Promise<Read> {
    return {
      ...known,
      ...(unread.has("existingTags") && { existingTags: await this.tagsOf(place, seen) }),
      ...(unread.has("upload") && { upload: { encryption: (await this.uploadOf(place))?.encryption } }),
      ...(unread.has("body") && { body: (this.bodyContent ??= await this.request.readBody()) }),
    }
  }

  /** Returns undefined if there is no owner yet; a new object belongs to its creator. */
  private ownerOf(bucket: Bucket | undefined, objectAcl: ObjectAcl | undefined): Soon<ResourceOwner | undefined> {
    const { principal } = this.request.signer
    const id = objectAcl?.owner ?? bucket?.owner
    if ("arn" in principal && (id === undefined || id === principal.accountId)) {
      return { accountId: principal.accountId, accountNumber: principal.accountNumber }
    }
    if (id === undefined) return undefined
    return after(
      this.context.accounts.getAccount(id),
      account => account && { accountId: account.id, accountNumber: account.number },
    )
  }

  /** The policies of the bucket and the object that apply to this caller. `objectAcl` is the object's stored list. */
  private policiesOf(
    action: ActionName,
    { bucket, ...place }: ActionTarget,
    owner: ResourceOwner,
    objectAcl: ObjectAcl | undefined,
  ): Soon<Applicable<ResourcePolicies>> {
    if (bucket === undefined) return { policies: NO_RESOURCE_POLICIES, exclusion: undefined }
    return after(this.policyOf(action, bucket, owner), ({ policies: policy, exclusion }) =>
      after(this.grantOf(action, { ...place, bucket }, objectAcl), acl => {
        const policies = policy === undefined && acl === undefined ? NO_RESOURCE_POLICIES : { policy, acl }
        return { policies, exclusion }
      }),
    )
  }

  /** The part of the bucket's policy that applies to this caller. It grants no access to another account's object. */
  private policyOf(
    action: ActionName,
    bucket: Bucket,
    owner: ResourceOwner,
  ): Soon<Applicable<NamedPolicy | undefined>> {
    const { bucketSettings } = this.context
    const { principal } = this.request.signer
    return after(bucketSettings.policy.of(bucket), found => {
      const only = (exclusion: string) => ({ policies: found?.denials, exclusion })
      if (owner.accountId !== bucket.owner) return only(OF_ANOTHER)
      const isOwn = "arn" in principal && principal.accountId === bucket.owner
      const mayUndo = isOwn && principal.kind === "root" && OF_ITS_POLICY.has(action)
      if (found === undefined || mayUndo) return { policies: undefined, exclusion: undefined }
      if (!isOwn && OF_ITS_POLICY.has(action)) return only(OF_THE_OWNER)
      if (isOwn || !found.isPublic) return { policies: found.named, exclusion: undefined }
      return after(publicAccessBlockOf(bucketSettings.publicAccessBlock, bucket), ({ restrictPublicBuckets }) =>
        restrictPublicBuckets ? only(RESTRICTED) : { policies: found.named, exclusion: undefined },
      )
    })
  }

  private grantOf(
    action: ActionName,
    place: PlaceInBucket,
    objectAcl: ObjectAcl | undefined,
  ): Soon<PrincipalMatch | undefined> {
    const { grants } = this.request.signer
    if (grants === undefined) return this.matchOf(action, place, objectAcl)
    return after(grants.match(place.bucket, action), found => found ?? this.matchOf(action, place, objectAcl))
  }

  private matchOf(
    action: ActionName,
    place: PlaceInBucket,
    objectAcl: ObjectAcl | undefined,
  ): Soon<AclMatch | undefined> {
    const { context, request } = this
    if (OF_AN_UPLOAD.has(action)) return after(this.hasBegun(place), hasBegun => (hasBegun ? "account" : undefined))
    // A caller who may write an object may also set its list in the same request.
    const requested = action === "PutObjectAcl" && makesObject(request.name) ? "PutObject" : action
    const { principal } = request.signer
    const match = () => context.accessControl.match(place.bucket, objectAcl, principal, `s3:${requested}`)
    if (!DELETES.has(action)) return match()
    return after(this.owns(place), owns => {
      if (!owns) return undefined
      return after(match(), found => (found === undefined ? undefined : "account"))
    })
  }

  /** Returns true if the caller's account owns the object. */
  private owns(place: PlaceInBucket): Soon<boolean> {
    const { principal } = this.request.signer
    if (!("arn" in principal)) return false
    if (principal.accountId === place.bucket.owner) return true
    return after(this.context.accessControl.listsApply(place.bucket), listsApply => {
      if (!listsApply) return false
      return unlessAbsent(this.infoOf(place)).then(info => info?.acl?.owner === principal.accountId)
    })
  }

  /**
   * Returns true if the caller belongs to another account than the bucket, and initiated the upload that the request
   * names.
   */
  private hasBegun({ bucket, key }: PlaceInBucket): Soon<boolean> {
    const { principal } = this.request.signer
    if (!("arn" in principal) || principal.accountId === bucket.owner || key === undefined) return false
    return this.isInitiator(bucket, key, principal.accountId)
  }

  private async isInitiator(bucket: Bucket, key: ObjectKey, accountId: AccountId): Promise<boolean> {
    return (await this.uploadOf({ bucket, key }))?.initiator === accountId
  }

  /** The upload that the request names; undefined: there is none. */
  private async uploadOf({ bucket, key }: ActionTarget): Promise<MultipartInfo | undefined> {
    if (bucket === undefined || key === undefined) return undefined
    const { multipart } = this.context.services
    try {
      const multipartId = parseMultipartId(this.request.query.get("uploadId") ?? "")
      return (await multipart.listParts({ bucket, key, multipartId, afterPart: 0, max: 0 })).info
    } catch (error) {
      const failure = asFailure(error)
      if (failure.kind === "noSuchUpload" || failure.kind === "invalidArgument") return undefined
      throw failure
    }
  }

  /** Returns true if the owner and the list of an existing object decide. */
  private objectListDecides(action: ActionName, { bucket }: ActionTarget): Soon<boolean> {
    if (bucket === undefined || !mayHaveLists(bucket) || !isOfObject(action)) return false
    const isOfNewObject = action.startsWith("Put") && makesObject(this.request.name)
    return !isOfNewObject && this.context.accessControl.listsApply(bucket)
  }

  private listOf(action: ActionName, place: ActionTarget, seen: SeenObjects | undefined): Soon<ObjectAcl | undefined> {
    const read = () => unlessAbsent(this.infoOf(place))
    return after(this.objectListDecides(action, place), decides =>
      decides ? this.noteIn(seen, read).then(info => info?.acl) : undefined,
    )
  }

  private noteIn<Found>(seen: SeenObjects | undefined, read: () => Promise<Found>): Promise<Found> {
    return seen === undefined ? this.readSeen(read) : seen.note(read)
  }

  private async infoOf(place: ActionTarget): Promise<ObjectInfo> {
    const { objects } = this.context.services
    const body = await objects.get({ ...targetOf(place), conditions: {}, headersOnly: true, isForServer: true })
    body.close()
    return body.info
  }

  /** Empty if the object is missing. */
  private async tagsOf(place: ActionTarget, seen: SeenObjects | undefined): Promise<Tags> {
    if (place.key === undefined) return []
    const { objects } = this.context.services
    const read = async () => ({
      of: await unlessAbsent(this.infoOf(place)),
      ...(await unlessAbsent(objects.getTags(targetOf(place)))),
    })
    return (await this.noteIn(seen, read)).tags ?? []
  }
}

/** How a decision is made. */
interface DecisionTerms {
  /** The head that conditions read; undefined: that of the request. */
  readonly head?: (() => S3RequestHead) | undefined
  /** Notes what the decision depends on; undefined: that is noted for the request as a whole. */
  readonly seen?: SeenObjects | undefined
}

/** Input of one decision. */
interface Deciding {
  readonly action: ActionName
  readonly place: ActionTarget
  readonly owner: ResourceOwner
  readonly head: () => S3RequestHead
  readonly seen: SeenObjects | undefined
}

/** Throws `internal` if the place is not an object. */
function targetOf({ bucket, key, versionId }: ActionTarget): ObjectTarget {
  if (bucket === undefined || key === undefined) throw fail("internal", { reason: "the place is not an object" })
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

/** @returns undefined if there is no object. */
async function unlessAbsent<Found>(reading: Promise<Found>): Promise<Found | undefined> {
  try {
    return await reading
  } catch (error) {
    const failure = asFailure(error)
    if (isAbsence(failure) || failure.kind === "isDeleteMarker") return undefined
    throw failure
  }
}
