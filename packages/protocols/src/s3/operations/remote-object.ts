/**
 * Remote buckets: reads, writes, deletions and listings of buckets whose objects are in another store, and what such buckets refuse.
 *
 * A write runs as in any bucket, and so makes a version; `settled` then hands that to the remote.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { FENCE_HEADER } from "@hayloft/base/fence.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import type {
  Bucket,
  ByteRange,
  Conditions,
  CopyRequest,
  CopyResult,
  CopySource,
  DeleteResult,
  GetRequest,
  ObjectBody,
  PutResult,
} from "@hayloft/objects/contract.js"
import { bodyOfSource, namingSource } from "@hayloft/objects/index.js"
import {
  HOPS_HEADER,
  noConditions,
  readOnly,
  type RemoteBuckets,
  type RemoteListPage,
  type RemoteListRequest,
  type RemoteSetting,
} from "@hayloft/features/remote-buckets/index.js"
import { isHarmless } from "../acl/requested-acl.js"
import type { S3Answer, BucketCall, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { BUCKET_REMOTE } from "../settings/remote.js"
import { documentOf } from "../settings/setting.js"
import { OFFSET_HEADER } from "./append-object.js"
import { READ_TIMESTAMP } from "./moments.js"

const OFF = "Remote buckets are switched off. The operator starts the store with --remotes."

export const isRemote = ({ settings }: Bucket): boolean => settings.includes("remote")

/** A remote bucket of a call, and its setting. Throws `notImplemented` while remote buckets are off. */
function remoteOf(
  { context, bucket }: BucketCall,
  of: Bucket = bucket,
): Soon<{ remotes: RemoteBuckets; setting: RemoteSetting }> {
  const { remotes } = context
  if (remotes === undefined) throw fail("notImplemented", { message: OFF })
  return after(remotes.settingOf(of), setting => {
    if (setting === undefined) throw fail("conflict", { reason: "the setting of the bucket has just changed" })
    return { remotes, setting }
  })
}

/**
 * Throws `notImplemented` while remote buckets are off, and as `RemoteBuckets.prepare`. The bucket takes no writes from then on until
 * the setting is stored: a write that comes between is pending, and its failure leaves the bucket like that.
 */
export async function checkRemote({ context, bucket, services }: BucketCall, value: RemoteSetting): Promise<void> {
  const { remotes } = context
  if (remotes === undefined) throw fail("notImplemented", { message: OFF })
  const first = await remotes.prepare(bucket, value)
  if (first === undefined) return
  await services.buckets.setSetting(bucket, BUCKET_REMOTE.name, documentOf(BUCKET_REMOTE, first))
  await remotes.requireNothingPending(bucket)
}

/** Throws as `RemoteBuckets.requireNothingPending`. While remote buckets are off, the setting can be removed. */
export async function checkRemoteRemoval({ context, bucket }: BucketCall): Promise<void> {
  await context.remotes?.requireNothingPending(bucket)
}

/** Operations on objects that remote buckets have; of those on buckets they have all that only read or remove, and the settings below. */
const WRITES: ReadonlySet<string> = new Set([
  "PutObject",
  "CopyObject",
  "PostObject",
  "DeleteObject",
  "DeleteObjects",
  "CreateMultipartUpload",
  "UploadPart",
  "UploadPartCopy",
  "CompleteMultipartUpload",
])
const READS: ReadonlySet<string> = new Set([
  "GetObject",
  "HeadObject",
  "GetTransformedObject",
  "HeadTransformedObject",
  "AbortMultipartUpload",
  "ListParts",
  "PrefetchObject",
  "EvictObject",
  "HeadBucket",
])
const SETTINGS =
  /^Put(?:BucketAcl|BucketPolicy|BucketCors|BucketTagging|BucketWebsite|BucketOwnershipControls|PublicAccessBlock|BucketRequestPayment|BucketTransforms|BucketRemote)$/

interface NamedOperation {
  readonly name: string
  readonly resource: string
  readonly method: string
}

export function remoteHas({ name, resource, method }: NamedOperation): boolean {
  if (WRITES.has(name) || READS.has(name) || SETTINGS.test(name)) return true
  if (resource !== "bucket") return false
  return method === "DELETE" || (method === "GET" && name !== "ListObjectVersions")
}

/** Headers whose effect a remote could not have, or that would be lost on the way. */
const REFUSED_HEADERS: readonly string[] = [
  OFFSET_HEADER,
  FENCE_HEADER,
  "x-amz-tagging",
  "x-amz-website-redirect-location",
  "x-amz-object-lock-mode",
  "x-amz-object-lock-retain-until-date",
  "x-amz-object-lock-legal-hold",
  "x-amz-server-side-encryption",
  "x-amz-server-side-encryption-customer-algorithm",
  "x-amz-server-side-encryption-aws-kms-key-id",
  "x-amz-server-side-encryption-bucket-key-enabled",
  "x-amz-server-side-encryption-context",
  "x-amz-grant-read",
  "x-amz-grant-full-control",
  "x-amz-grant-read-acp",
  "x-amz-grant-write-acp",
]
/** Throws `notImplemented` for what remote buckets lack, by name, and `methodNotAllowed` for writes to one that takes none. */
export function checkRemoteRequest(call: BucketCall, operation: NamedOperation, isKnown: boolean): Soon<void> {
  const { headers, query, bucket } = call
  const refuse = (what: string) => fail("notImplemented", { message: `A remote bucket does not have ${what}.` })
  if (!isKnown) throw refuse(operation.name)
  if (query.has("versionId")) throw refuse("versions")
  if (query.has(READ_TIMESTAMP)) throw refuse("reads at a moment")
  const name = REFUSED_HEADERS.find(each => headers.get(each) !== undefined)
  if (name !== undefined) throw refuse(`the header ${name}`)
  if ((headers.get("x-amz-storage-class") ?? "STANDARD") !== "STANDARD") throw refuse("storage classes")
  if (!WRITES.has(operation.name)) return undefined
  if (!isHarmless(headers.get("x-amz-acl") ?? "private")) throw refuse("access control lists of objects")
  if ((call.tags?.length ?? 0) > 0) throw refuse("tags")
  return after(remoteOf(call, bucket), ({ setting }) => {
    if (setting.writes === "None") throw readOnly()
    const hasConditions = headers.get("if-match") !== undefined || headers.get("if-none-match") !== undefined
    if (hasConditions && setting.writes === "Back") throw noConditions()
  })
}

/** Conditions that the version has to meet: those of a remote bucket are for the remote. */
export const localConditionsOf = (call: ObjectCall): Conditions =>
  isRemote(call.bucket) ? {} : writeConditionsOf(call)

const hopsOf = ({ headers }: BucketCall): string | undefined => headers.get(HOPS_HEADER)
const askOf = (call: BucketCall) => ({ signal: call.client.signal, hops: hopsOf(call) })

/** Opens an object as `Objects.get` does, and notes on the call where it came from. */
export const openRemote = (
  call: ObjectCall,
  request: Omit<GetRequest, "bucket" | "key" | "versionId" | "clientKey">,
  at: Pick<GetRequest, "bucket" | "key"> = call,
): Soon<ObjectBody> =>
  after(remoteOf(call, at.bucket), async ({ remotes, setting }) => {
    const { bucket, key } = at
    const revalidates = /(?:^|[\s,])no-cache(?:$|[\s,])/i.test(call.headers.get("cache-control") ?? "")
    const options = { revalidates, ...askOf(call) }
    const { body, outcome } = await remotes.open(setting, { ...request, bucket, key }, options)
    call.remoteOutcome = outcome
    return body
  })

/**
 * Completes a write that has made a version: in a remote bucket the remote has it then, or it is pending. That includes a bucket that
 * has become remote since the request began.
 */
export function settled<Result extends PutResult>(call: ObjectCall, result: Result): Soon<Result> {
  const { bucket, key, context } = call
  const { remotes } = context
  const { versionId } = result
  if (versionId === undefined || versionId === NULL_VERSION) return result
  if (!isRemote(bucket) && remotes === undefined) return result
  const { ifMatch, ifNoneMatch } = writeConditionsOf(call)
  const conditions = isRemote(bucket) ? { ifMatch, ifNoneMatch } : {}
  return after(remotes?.written(bucket, key, versionId, { ...conditions, hops: hopsOf(call) }), etag =>
    etag === undefined ? result : { ...result, etag },
  )
}

const NULL_VERSION = "null"

/** Deletes an object of a remote bucket, which has no versions. */
export const removeRemote = (
  call: BucketCall,
  { key, conditions }: Pick<Parameters<ObjectCall["services"]["objects"]["remove"]>[0], "key" | "conditions">,
): Promise<DeleteResult> =>
  asPromise(() => remoteOf(call)).then(async ({ remotes }) => {
    await remotes.remove(call.bucket, key, conditions, { hops: hopsOf(call) })
    return { versionId: undefined, deleteMarker: false }
  })

export const listRemote = (call: BucketCall, request: RemoteListRequest): Soon<RemoteListPage> =>
  after(remoteOf(call), ({ remotes, setting }) => remotes.list(setting, request, askOf(call)))

/** The bytes of an object of a remote bucket, for a copy. */
async function openSource(
  call: ObjectCall,
  { bucket, key, versionId, conditions, checkOpened }: CopySource,
  range: ByteRange | undefined,
) {
  if (versionId !== undefined) throw fail("notImplemented", { message: "A remote bucket does not have versions." })
  const asked = range && ({ kind: "fromTo", first: range.first, last: range.first + range.lengthBytes - 1 } as const)
  try {
    const body = await openRemote(call, { range: asked, conditions }, { bucket, key })
    await checkOpened?.().catch((error: unknown) => {
      body.close()
      throw error
    })
    if (range === undefined || body.range?.lengthBytes === range.lengthBytes) return body
    body.close()
    throw fail("invalidRange", { sizeBytes: body.info.sizeBytes })
  } catch (error) {
    // The condition of a copy is never "not modified".
    if (isFailure(error, "notModified"))
      throw fail("preconditionFailed", { condition: "x-amz-copy-source-if-none-match" })
    throw namingSource(error, key)
  }
}

/** Copies an object of a remote bucket: its bytes are read as by a client. */
export async function copyFromRemote(call: ObjectCall, request: CopyRequest): Promise<CopyResult> {
  const {
    source,
    replaceAttributes,
    replaceTags,
    checksumAlgorithm,
    range: _,
    statesEncryption: __,
    ...target
  } = request
  const body = await openSource(call, source, request.range)
  try {
    const { headers, userMetadata } = body.info
    const result = await call.services.objects.put({
      ...target,
      attributes: replaceAttributes ?? { headers, userMetadata },
      tags: replaceTags ?? [],
      body: { ...bodyOfSource(body, request.signal), checksumAlgorithm },
    })
    return { ...result, sourceVersionId: undefined }
  } finally {
    body.close()
  }
}

type PartTarget = Omit<Parameters<ObjectCall["services"]["multipart"]["putPart"]>[0], "body" | "signal">

/** Copies a part of an object of a remote bucket into an upload. */
export async function copyPartFromRemote(
  call: ObjectCall,
  target: PartTarget,
  source: CopySource,
  range: { readonly first: number; readonly last: number } | undefined,
) {
  const { signal } = call.client
  const bytes = range && { first: range.first, lengthBytes: range.last - range.first + 1 }
  const body = await openSource(call, source, bytes)
  try {
    const part = await call.services.multipart.putPart({ ...target, body: bodyOfSource(body, signal), signal })
    return { ...part, lastModifiedMs: call.nowMs, sourceVersionId: undefined }
  } finally {
    body.close()
  }
}

/** `POST ?prefetch`: brings an object into the cache. */
export async function prefetchObject(call: ObjectCall): Promise<S3Answer> {
  if (!isRemote(call.bucket)) throw notRemote()
  const { remotes, setting } = await remoteOf(call)
  await remotes.prefetch(setting, call.bucket, call.key, askOf(call))
  return answerEmpty(204)
}

/** `POST ?evict`: drops what is cached of an object. */
export async function evictObject(call: ObjectCall): Promise<S3Answer> {
  if (!isRemote(call.bucket)) throw notRemote()
  const { remotes } = await remoteOf(call)
  await remotes.evict(call.bucket, call.key)
  return answerEmpty(204)
}

const notRemote = () => fail("invalidRequest", { message: "The bucket is not remote: nothing of it is cached." })
