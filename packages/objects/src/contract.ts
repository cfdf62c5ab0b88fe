/**
 * The object services for protocols: buckets, objects, versions, multipart uploads, listings.
 *
 * Promises  Every operation on one key is linearizable; a condition is checked in the decision that applies the change.
 * Failures  Thrown as `Failure`; each method lists its kinds. A refusal waits until the state behind it is durable.
 * Bodies    Stream in (`BodySource.open()` is called once, and only after all checks of the request passed) and out
 *           (`ObjectBody.read()` yields verified bytes).
 */
import type { Fence } from "@hayloft/base/fence.js"
import type { Span } from "@hayloft/base/trace.js"
import type { AccountId, MultipartId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { LentBytes, PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Payer } from "@hayloft/base/places-core.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Timestamp } from "@hayloft/base/text/timestamp.js"
import type { ObjectAcl } from "@hayloft/engine/format/objects/acl.js"
import type {
  BucketLock,
  DefaultRetention,
  Retention,
  VersionLock,
} from "@hayloft/engine/format/objects/object-lock.js"
import type { BucketSettingName, SettingRecord } from "@hayloft/engine/format/records.js"
import type { SegmentObject } from "@hayloft/engine/format/objects/segment-list.js"
import type { LargeObject } from "@hayloft/engine/format/objects/version-record.js"
import type { Protection } from "@hayloft/access/keys/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type {
  ContentHeaders,
  EncryptionCheck,
  ObjectAttributes,
  ObjectInfo,
  ShownEncryption,
  StoredChecksum,
  UserMetadata,
} from "./info-contract.js"
import type { Bucket, Buckets } from "./buckets/bucket-contract.js"
import type { ListPage, ListRequest, ListVersionsRequest, VersionsPage } from "./listing-contract.js"
import type { Moments, ObjectAt } from "./moments-contract.js"
import type { Tags } from "@hayloft/base/tags.js"

export type * from "./info-contract.js"
export type * from "./buckets/bucket-contract.js"
export type * from "./listing-contract.js"
export type * from "./moments-contract.js"
export type {
  BucketLock,
  DefaultRetention,
  ObjectAcl,
  Protection,
  Retention,
  BucketSettingName,
  SettingRecord,
  VersionLock,
}

/**
 * Conditions of a request. ETags are without quotes and `W/`; a list with "*" as its only element matches any. That of a large
 * object is also matched without its number of segments, as Swift shows it. Times are in milliseconds (whole seconds).
 */
export interface Conditions {
  readonly ifMatch?: readonly string[] | undefined
  readonly ifNoneMatch?: readonly string[] | undefined
  readonly ifModifiedSinceMs?: number | undefined
  readonly ifUnmodifiedSinceMs?: number | undefined
  /** A condition of deletions: the size of the object in bytes. Such conditions hold if there is no object. */
  readonly ifMatchSize?: number | undefined
  /** A condition of deletions: the second in which the object was modified. */
  readonly ifMatchModifiedMs?: number | undefined
  /** A condition of writes: the lock is held with this token. */
  readonly fence?: Fence | undefined
  /** A condition of the store's own writes. */
  readonly ifUnchanged?: ObjectAt | undefined
  /** A property of writes, and no condition: another store sends what it has, which is not copied further, or back. */
  readonly isCopy?: boolean | undefined
}

/** Length and digests that the client declared; each is verified before anything becomes visible. */
export interface BodyPromises {
  /** Bytes of the decoded body; undefined only for a chunked transfer without a declared length. */
  readonly lengthBytes: number | undefined
  /** 16 bytes. Mismatch: `badDigest`. */
  readonly md5?: Uint8Array | undefined
  /** 64 hex digits in lower case; hash of the body as signed. Mismatch: `contentSha256Mismatch`. */
  readonly sha256Hex?: string | undefined
  /** Which checksum to compute and store; undefined: the default, CRC64NVME. */
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined
}

export interface BodySource extends BodyPromises {
  /** The party that sends it; absent: the server itself. */
  readonly payer?: Payer
  /** Starts the body (sends 100-continue if requested). Called at most once. May throw `Failure` while streaming. */
  open(pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /** A whole small body, instead of `open`; read-only. Undefined if the body must be streamed. May throw `Failure`. */
  gather(): Soon<Uint8Array> | undefined
  /**
   * The checksum that the client declared, in base64: available before the body (header), or only after the body has
   * ended (trailer). Undefined: none declared. Mismatch: `badDigest`.
   */
  declaredChecksum(): string | undefined
}

export interface PutRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly attributes: ObjectAttributes
  readonly tags: Tags
  readonly acl?: ObjectAcl | undefined
  /** The lock that the request states; the bucket's default retention applies if it states none. */
  readonly lock?: VersionLock | undefined
  /** The class is STANDARD if this is absent. The caller has checked that it is accepted. */
  readonly storageClass?: StorageClass | undefined
  /** It is undefined for objects that are not encrypted, or only at rest, as the whole store is. */
  readonly encryption?: Protection | undefined
  /**
   * The second since 1970 from which on the object no longer exists: reads, and conditions of writes, find none, whether it
   * was removed by then or not. A job removes it soon after. Undefined: it does not expire.
   */
  readonly expiresAtSeconds?: number | undefined
  /** The body is the segment list of a large object, which this says. */
  readonly largeObject?: LargeObject | undefined
  /**
   * When another store, whose write this repeats, has written the object. If what is here was written or removed at that time or
   * later, `preconditionFailed` with the condition `X-Timestamp` is thrown.
   */
  readonly timestamp?: Timestamp | undefined
  /** A few bytes that the store has to note before it can remove others: they are accepted on a disk that has no space for more. */
  readonly makesSpace?: true | undefined
  /** Writes use only `ifMatch` and `ifNoneMatch`. */
  readonly conditions: Conditions
  readonly body: BodySource
  /** Fires when the client has disconnected. Read only if the body is streamed. */
  readonly signal: AbortSignal
}

export interface PutResult {
  /** It is undefined in a bucket that was never versioned. */
  readonly versionId: VersionId | undefined
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
  readonly sizeBytes: number
  readonly lastModifiedMs: number
  /** The encryption of the object, as clients may see it; undefined if there is none, or only at rest. */
  readonly encryption?: ShownEncryption | undefined
}

/** The requested bytes of an object: `Objects.get` resolves them against its size. */
export type RangeRequest =
  | { readonly kind: "fromTo"; readonly first: number; readonly last: number | undefined }
  | { readonly kind: "suffix"; readonly lengthBytes: number }
  | { readonly kind: "part"; readonly partNumber: number }

export interface ByteRange {
  readonly first: number
  readonly lengthBytes: number
}

export interface GetRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId | undefined
  readonly range?: RangeRequest | undefined
  /** `If-Range`: if it does not match, the range is ignored. */
  readonly ifRange?: { readonly etag: string } | { readonly unmodifiedSinceMs: number } | undefined
  /** The key of SSE-C: needed for what is encrypted with one, and refused for anything else. 32 bytes. */
  readonly clientKey?: Uint8Array | undefined
  /** Called before any service of keys is. */
  readonly checkEncryption?: EncryptionCheck | undefined
  readonly conditions: Conditions
  /** HEAD: the body will not be read. */
  readonly headersOnly?: boolean
  /** With `headersOnly`: for a decision of the server, which shows no headers. So no key of SSE-C is needed. */
  readonly isForServer?: boolean
  /** The span of its request, if that is traced. */
  readonly trace?: Span | undefined
  /** `ObjectBody.whole` may be in memory that the next read reuses: the caller must copy it within the turn. */
  readonly lends?: boolean
}

export interface ObjectBody {
  readonly info: ObjectInfo
  /** It is undefined for the whole object. Otherwise it is the first byte and length (206). */
  readonly range: ByteRange | undefined
  /** For a `part` range: the checksum of that part, if it has one. */
  readonly partChecksum: StoredChecksum | undefined
  /** All bytes of the range, if they are stored with the row: a body of a few kilobytes. Then no read is needed. */
  readonly whole?: Uint8Array | undefined
  /** All bytes of the range, if available without waiting. Call it within the turn, instead of `read`. */
  lend(): LentBytes | undefined
  /**
   * Verified bytes of the range. Ends early only by throwing. Must be iterated or closed. Lent pieces are valid until
   * the next one is requested.
   */
  read(signal: AbortSignal, pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /** Ends the reader's pin; safe to call twice. */
  close(): void
}

/** Opens what a segment names, as the one who reads the large object may read it. Throws as `Objects.get`, `accessDenied`. */
export type OpenSegment = (segment: SegmentObject, range: ByteRange) => Soon<ObjectBody>

export interface DeleteRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId | undefined
  readonly conditions: Conditions
  /** The caller may remove what is locked in governance mode, and wants to. */
  readonly bypassGovernance?: boolean
  /** The timestamp of a removal by another store, without a version, as in `PutRequest`. */
  readonly timestamp?: Timestamp | undefined
}

export interface DeleteResult {
  /** The version deleted, or the marker created; undefined in a bucket that was never versioned. */
  readonly versionId: VersionId | undefined
  /** A delete marker was created, or the version deleted was one. */
  readonly deleteMarker: boolean
}

export interface CopySource {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId
  /** The check of the source's encryption, which is called before any service of keys is. */
  readonly checkEncryption?: EncryptionCheck
  /** The SSE-C key of the source, 32 bytes: needed if the source is encrypted with one, and refused otherwise. */
  readonly clientKey?: Uint8Array | undefined
  /** `x-amz-copy-source-if-*`: false always throws `preconditionFailed`. */
  readonly conditions: Conditions
  /** Throws if the caller may not read the source that was opened. It is called before anything of that is used. */
  readonly checkOpened?: () => Promise<void>
  /** For the bytes of a large object. Absent: its segment list is copied, and the copy is a large object as well. */
  readonly openSegment?: OpenSegment
}

export interface CopyRequest {
  readonly source: CopySource
  /** It is undefined for all bytes of the source. */
  readonly range?: ByteRange | undefined
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly conditions: Conditions
  /** It is undefined for the directive COPY. */
  readonly replaceAttributes: ObjectAttributes | undefined
  /** The redirect of the copy, unless attributes are replaced; the source keeps its own. */
  readonly websiteRedirect?: string | undefined
  readonly replaceTags: Tags | undefined
  /** The list of the copy; the source keeps its own. */
  readonly acl?: ObjectAcl | undefined
  /** The lock of the copy, as in `PutRequest`; the source keeps its own. */
  readonly lock?: VersionLock | undefined
  /** The storage class of the copy, as in `PutRequest`: that of the source never applies. */
  readonly storageClass?: StorageClass | undefined
  /** The encryption of the copy, as in `PutRequest`: that of the source never applies. */
  readonly encryption?: Protection | undefined
  /** The request itself states `encryption`: so a copy onto itself is one that may change something. */
  readonly statesEncryption?: boolean
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  /** The expiry of the copy, as in `PutRequest`: that of the source never applies. */
  readonly expiresAtSeconds?: number | undefined
  readonly signal: AbortSignal
}

export interface CopyResult extends PutResult {
  /** It is undefined if the source's bucket was never versioned. */
  readonly sourceVersionId: VersionId | undefined
}

export interface ObjectPart {
  readonly partNumber: number
  readonly sizeBytes: number
  readonly checksum: StoredChecksum | undefined
}

export interface ObjectTarget {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId
  /** The SSE-C key of the object, the same as in `GetRequest`. Only `Objects.parts` needs it. */
  readonly clientKey?: Uint8Array | undefined
}

export interface SetAttributesRequest extends Omit<ObjectTarget, "clientKey"> {
  readonly attributes: {
    readonly headers: Omit<ContentHeaders, "websiteRedirect" | "symlink">
    readonly userMetadata: UserMetadata
  }
  /** The expiry of the object, the same as in `PutRequest`. If it is undefined, the object no longer expires. */
  readonly expiresAtSeconds?: number | undefined
  /** The conditions on the version that changes. They may concern its size and time, the same as for deletions. */
  readonly conditions: Conditions
}

export interface Objects {
  /**
   * Throws `preconditionFailed`, `noSuchKey` (If-Match on nothing), `badDigest`, `incompleteBody`, `entityTooLarge` …,
   * and `noObjectLock`, `retentionIsOver` for a lock, `invalidArgument` for an expiry that has passed.
   */
  put(request: PutRequest): Promise<PutResult>
  /**
   * Headers and body of one version. Of a large object the body is its segment list, whatever the range:
   * `openSegments` makes that the bytes of its segments.
   * Throws `noSuchKey` (details.versionId and details.deleteMarker if the latest is a marker),
   * `noSuchVersion`, `isDeleteMarker` (the marker by id; details.lastModifiedMs), `preconditionFailed`,
   * `notModified` (details.etag, details.lastModifiedMs), `invalidRange` (details.sizeBytes), `invalidPartNumber`,
   * `invalidObjectState` if a feature refuses to read the body.
   */
  get(request: GetRequest): Soon<ObjectBody>
  /**
   * Keys and versions that do not exist are not an error. Throws `preconditionFailed`, `noSuchKey` (If-Match on
   * nothing), `objectLocked`.
   */
  remove(request: DeleteRequest): Promise<DeleteResult>
  /** Throws as `get` on the source and as `put` on the target; `invalidRequest` for a copy that changes nothing. */
  copy(request: CopyRequest): Promise<CopyResult>
  /** Parts of a multipart object after `afterPart`, with their checksums. */
  parts(
    target: ObjectTarget,
    page: { readonly afterPart: number; readonly max: number },
  ): Promise<{ info: ObjectInfo; parts: readonly ObjectPart[]; next: number | undefined }>
  getTags(target: ObjectTarget): Promise<{ versionId: VersionId | undefined; tags: Tags }>
  /** An empty list deletes all tags. */
  setTags(target: ObjectTarget, tags: Tags): Promise<{ versionId: VersionId | undefined }>
  /**
   * Replaces the attributes of a version in place, and its time of modification. The content type is kept if none is
   * given, and a redirect or a symbolic link always is. Throws `objectLocked` while a lock keeps the version, `preconditionFailed`, and as
   * `get`.
   */
  setAttributes(request: SetAttributesRequest): Promise<Pick<PutResult, "versionId" | "etag" | "lastModifiedMs">>
  /** Throws `conflict` if the version does not belong to this owner (any more). Undefined: as `ObjectInfo.acl`. */
  setAcl(target: ObjectTarget, acl: ObjectAcl | undefined): Promise<{ versionId: VersionId | undefined }>
  /** Throws `noObjectLock`, and as `get`. */
  getLock(target: ObjectTarget): Promise<VersionLock | undefined>
  /**
   * Sets the retention; undefined means none. Throws `noObjectLock`, `retentionIsOver` for a time that has passed,
   * `objectLocked` for less than the version has: in compliance mode always, in governance mode without
   * `bypassGovernance`.
   */
  setRetention(target: ObjectTarget, retention: Retention | undefined, bypassGovernance: boolean): Promise<void>
  /** Throws `noObjectLock`. */
  setLegalHold(target: ObjectTarget, legalHold: boolean): Promise<void>
  list(request: ListRequest): Promise<ListPage>
  listVersions(request: ListVersionsRequest): Promise<VersionsPage>
}

/** The list, the lock, the storage class and the encryption are those of the future object; parts have the encryption, too. */
export interface CreateMultipartRequest extends Pick<
  PutRequest,
  "bucket" | "key" | "attributes" | "tags" | "acl" | "lock" | "storageClass" | "encryption"
> {
  /** The account that starts the upload; undefined: the bucket's owner, or an unknown account. */
  readonly initiator?: AccountId | undefined
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: "COMPOSITE" | "FULL_OBJECT" } | undefined
}

export interface MultipartTarget {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly multipartId: MultipartId
}

export interface MultipartInfo {
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  readonly initiatedMs: number
  /** The owner of the future object; undefined: the bucket's owner. */
  readonly owner: AccountId | undefined
  /** The account that started the upload. */
  readonly initiator: AccountId | undefined
  /** The stated lock of the future object. */
  readonly lock: VersionLock | undefined
  readonly storageClass: StorageClass
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: "COMPOSITE" | "FULL_OBJECT" } | undefined
  /** The encryption of the upload, as clients may see it; undefined if there is none, or only at rest. */
  readonly encryption?: ShownEncryption | undefined
}

export interface PartResult {
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
  readonly lastModifiedMs: number
  /** The encryption of the part, as clients may see it, as in `ObjectInfo`. Listed parts do not have it. */
  readonly encryption?: ShownEncryption | undefined
}

export interface PartInfo extends PartResult {
  readonly partNumber: number
  readonly sizeBytes: number
}

export interface CompletedPart {
  readonly partNumber: number
  readonly etag: string
  /** In base64, if the client sent one. */
  readonly checksum: string | undefined
}

/** An object of the same bucket whose bytes a new one gets. */
export interface NamedSource {
  readonly key: ObjectKey
  /** False ones throw `preconditionFailed`. */
  readonly conditions: Conditions
  /** It is absent for all bytes of the object. */
  readonly range?: Exclude<RangeRequest, { readonly kind: "part" }> | undefined
}

export interface CompleteRequest extends MultipartTarget {
  readonly parts: readonly CompletedPart[]
  /** In place of parts: the object consists of their bytes, in this order, which are not copied. */
  readonly sources?: readonly NamedSource[]
  readonly conditions: Conditions
  /** `x-amz-mp-object-size`. */
  readonly sizeBytes: number | undefined
  /** Declared checksum of the whole object. */
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined
  readonly checksumType: "COMPOSITE" | "FULL_OBJECT" | undefined
  /** The expiry of the object, in seconds since 1970, the same as in `PutRequest`. */
  readonly expiresAtSeconds?: number | undefined
  /** The check of the upload's encryption. */
  readonly checkEncryption?: EncryptionCheck
  /** The key of SSE-C: that of the upload. With `checkEncryption`, it is needed if the upload has a checksum algorithm. */
  readonly clientKey?: Uint8Array | undefined
  readonly signal: AbortSignal
}

interface UploadTarget extends MultipartTarget {
  /** Called with how the upload is encrypted. */
  readonly checkEncryption?: EncryptionCheck | undefined
  /** The key of SSE-C: that of the upload. To list parts it is not needed. */
  readonly clientKey?: Uint8Array | undefined
}

export interface ListPartsRequest extends UploadTarget {
  readonly afterPart: number
  readonly max: number
}

export type UploadListEntry =
  | { readonly kind: "upload"; readonly upload: MultipartInfo }
  | { readonly kind: "prefix"; readonly prefix: string }

export interface Multipart {
  create(request: CreateMultipartRequest): Promise<MultipartInfo>
  /** Throws `noSuchUpload`, `invalidRequest` (another algorithm than declared, or a client sends no SHA), and as `put`. */
  putPart(
    request: UploadTarget & Pick<PutRequest, "body" | "signal"> & { readonly partNumber: number },
  ): Promise<PartResult>
  /** `range`: first and last byte, both inside the source, else `invalidArgument`. */
  copyPart(
    request: UploadTarget & {
      readonly partNumber: number
      readonly source: CopySource
      readonly range: { readonly first: number; readonly last: number } | undefined
      readonly signal: AbortSignal
    },
  ): Promise<PartResult & { readonly sourceVersionId: VersionId | undefined }>
  listParts(
    request: ListPartsRequest,
  ): Promise<{ info: MultipartInfo; parts: readonly PartInfo[]; next: number | undefined }>
  listUploads(request: {
    readonly bucket: Bucket
    readonly prefix: string
    readonly delimiter: string
    readonly keyMarker: string
    readonly uploadIdMarker: MultipartId | undefined
    readonly max: number
  }): Promise<{
    entries: readonly UploadListEntry[]
    next: { readonly keyMarker: string; readonly uploadIdMarker: MultipartId | undefined } | undefined
  }>
  /**
   * Throws `noSuchUpload`, `invalidPart`, `invalidPartOrder`, `entityTooSmall`, `invalidRequest`, `badDigest`, and for
   * its conditions as `put`.
   */
  complete(request: CompleteRequest): Promise<PutResult>
  /** Throws `noSuchUpload`. */
  abort(target: MultipartTarget): Promise<void>
}

export interface RenameRequest {
  /** The bucket of the destination. */
  readonly bucket: Bucket
  /** It is absent for the same bucket. */
  readonly fromBucket?: Bucket | undefined
  readonly from: ObjectKey
  readonly to: ObjectKey
  /** On the source: false always throws `preconditionFailed`. */
  readonly sourceConditions: Conditions
  /** On the destination: all of them, as on the source. */
  readonly conditions: Conditions
  /** Recognises a repeated request. */
  readonly clientToken: string | undefined
  /** Nothing is renamed: only an earlier request with the token can have done it. */
  readonly isRepeated?: boolean
  /** Throws if the caller may not rename the source as it is now. Called for each version that is about to be renamed. */
  readonly checkSource?: () => Promise<void>
  /** The check of the source's encryption, the same as in `GetRequest`. No key of SSE-C is needed. */
  readonly checkEncryption?: EncryptionCheck
  /** From another bucket: how it is encrypted from now on, unless only as before, and its list. */
  readonly elsewhere?: { readonly encryption: Protection | undefined; readonly acl: ObjectAcl | undefined } | undefined
  readonly signal: AbortSignal
}

export interface Renames {
  /**
   * The latest version gets another key, also in another bucket, of one moment: no reader sees both keys with it, or neither.
   * Throws `noSuchKey`, `preconditionFailed`, `idempotencyMismatch`, `invalidObjectState`, `invalidRequest`, what features
   * refuse (in a bucket with versions, or in another one), `notImplemented` for what is encrypted with a key of a client or the KMS
   * and goes to another bucket, and `conflict` if the source keeps changing.
   */
  rename(request: RenameRequest): Promise<PutResult>
}

export interface ObjectServices {
  readonly buckets: Buckets
  readonly objects: Objects
  readonly multipart: Multipart
  readonly renames: Renames
  readonly moments: Moments
}
