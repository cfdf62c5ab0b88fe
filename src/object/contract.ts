/**
 * What protocols ask of objects: buckets, objects, versions, multipart uploads, listings.
 *
 * Promises  Every operation on one key is linearizable; a condition is checked in the same decision
 *           that applies the change (and once more, cheaply, before a body is read).
 * Failures  Thrown as `Failure`; each method names the kinds that are part of its contract.
 *           A refusal is only thrown once what it was decided on is durable.
 * Bodies    Stream in (`BodySource.open()` is called once, and only when nothing speaks against the
 *           request any more) and out (`ObjectBody.read()` yields verified bytes).
 */
import type { AccountId, BucketId, BucketName, MultipartId, ObjectKey, VersionId } from "../base/ids.js"
import type { LentBytes, PieceOwner } from "../base/pieces.js"
import type { Soon } from "../base/soon.js"
import type { ObjectAcl } from "../format/acl.js"
import type { SettingName, SettingRecord } from "../format/records.js"
import type { ChecksumAlgorithm } from "../seams/compute/contract.js"

export type { ObjectAcl, SettingName, SettingRecord }

export type VersioningState = "never" | "enabled" | "suspended"

/** A bucket that exists, as resolved for one request. */
export interface Bucket {
  readonly id: BucketId
  readonly name: BucketName
  readonly owner: AccountId
  readonly createdMs: number
  /** LocationConstraint as given at creation; "" for none. */
  readonly location: string
  readonly versioning: VersioningState
  /** Which settings have a document: what requests by the thousand need to know without reading any. */
  readonly settings: readonly SettingName[]
  /** Grows with each change of a setting: what was read of one holds until then. */
  readonly settingsVersion: number
}

/** Documents of settings by name. */
export type SettingDocuments = ReadonlyMap<SettingName, string>

export interface CreateBucketRequest {
  readonly name: BucketName
  readonly owner: AccountId
  readonly location: string
  /** What it has from its creation on. */
  readonly settings?: SettingDocuments
}

export interface BucketUsage {
  /** Latest versions that are no delete markers, as a listing shows them. */
  readonly objects: number
  /** All versions and delete markers. */
  readonly versions: number
  /** Bytes of all versions. */
  readonly bytes: number
  /** Multipart uploads in progress. */
  readonly uploads: number
}

export interface Buckets {
  /** Throws `bucketOwnedByYou`, `bucketExists`, `entityTooLarge`. */
  create(request: CreateBucketRequest): Promise<Bucket>
  /** Throws `noSuchBucket`. Rights are the caller's to check against `owner`. */
  open(name: BucketName): Soon<Bucket>
  /** Aborts unfinished uploads. Throws `noSuchBucket`, `bucketNotEmpty`. */
  remove(bucket: Bucket): Promise<void>
  /** Buckets of an account in name order, after `after`, beginning with `prefix`. */
  list(request: {
    owner: AccountId
    prefix?: string
    after?: string
    max: number
  }): Promise<{ buckets: readonly Bucket[]; next: string | undefined }>
  setVersioning(bucket: Bucket, state: "enabled" | "suspended"): Promise<void>
  /** At least as new as `bucket`; undefined: no document. */
  setting(bucket: Bucket, name: SettingName): Soon<SettingRecord | undefined>
  /** Undefined: as if it had never been made. Throws `noSuchBucket`, `bucketClosing`, `entityTooLarge`. */
  setSetting(bucket: Bucket, name: SettingName, document: string | undefined): Promise<void>
  usage(bucket: Bucket): Promise<BucketUsage>
}

/** Headers stored with an object, byte for byte (one character a byte); absent = not given. */
export interface ContentHeaders {
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  readonly expires?: string
}

/** What a client stores with an object; the same object where the same is stored, often: what follows from it is kept. */
export interface ObjectAttributes {
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
}

export type Tags = readonly (readonly [key: string, value: string])[]
/** User metadata: names in lower case without `x-amz-meta-`, values as bytes (one character a byte). */
export type UserMetadata = readonly (readonly [name: string, value: string])[]

export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly type: "COMPOSITE" | "FULL_OBJECT"
  /** As S3 shows it: base64, with "-N" for a composite one. */
  readonly value: string
}

export interface ObjectInfo {
  /** "null" for the null version. */
  readonly versionId: VersionId
  readonly sizeBytes: number
  /** Without quotes: lower-case MD5, or "md5-N" for a multipart object. */
  readonly etag: string
  /** Whole seconds are what HTTP shows; listings show the same second. */
  readonly lastModifiedMs: number
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
  readonly tagCount: number
  /** Undefined: it is the bucket's owner's, and nobody else's. */
  readonly acl: ObjectAcl | undefined
  readonly checksum: StoredChecksum | undefined
  /** Number of parts of a multipart object; undefined for a single one. */
  readonly partsCount: number | undefined
}

/**
 * Conditions of a request. ETags without quotes and without `W/`; "*" as its only element stands for
 * any. Times in milliseconds (whole seconds).
 */
export interface Conditions {
  readonly ifMatch?: readonly string[] | undefined
  readonly ifNoneMatch?: readonly string[] | undefined
  readonly ifModifiedSinceMs?: number | undefined
  readonly ifUnmodifiedSinceMs?: number | undefined
}

/** What the client promised about its body; each is verified before anything becomes visible. */
export interface BodyPromises {
  /** Bytes of the decoded body; undefined only for a chunked transfer without a declared length. */
  readonly lengthBytes: number | undefined
  /** 16 bytes. Mismatch: `badDigest`. */
  readonly md5?: Uint8Array | undefined
  /** 64 hex digits in lower case; of the body as signed. Mismatch: `contentSha256Mismatch`. */
  readonly sha256Hex?: string | undefined
  /** Which checksum to compute and store. */
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined
}

export interface BodySource extends BodyPromises {
  /** Starts the body (sends 100-continue where asked). Called at most once. May throw `Failure` while streaming. */
  open(pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /**
   * All of a small body, in place of `open`; not to be changed. Undefined where it has to be streamed. May throw `Failure`.
   */
  gather(): Soon<Uint8Array> | undefined
  /**
   * The checksum that the client declared, in base64: known before the body (header), or only after the body
   * has ended (trailer). Undefined: none declared. Mismatch: `badDigest`.
   */
  declaredChecksum(): string | undefined
}

export interface PutRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly attributes: ObjectAttributes
  readonly tags: Tags
  readonly acl?: ObjectAcl | undefined
  /** Only `ifMatch` and `ifNoneMatch` speak on writes. */
  readonly conditions: Conditions
  readonly body: BodySource
  /** Fires when the client is gone. Read only if the body is streamed. */
  readonly signal: AbortSignal
}

export interface PutResult {
  /** Undefined in a bucket that was never versioned. */
  readonly versionId: VersionId | undefined
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
  readonly sizeBytes: number
  readonly lastModifiedMs: number
}

/** Bytes asked of an object: resolved against its size by `Objects.get`. */
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
  /** `If-Range`: with it and no match the range is ignored. */
  readonly ifRange?: { readonly etag: string } | { readonly unmodifiedSinceMs: number } | undefined
  readonly conditions: Conditions
  /** HEAD: the body will not be read. */
  readonly headersOnly?: boolean
  /** `ObjectBody.whole` may lie in memory that the next read uses again: it has to be copied within the turn. */
  readonly lends?: boolean
}

export interface ObjectBody {
  readonly info: ObjectInfo
  /** Undefined: the whole object. Otherwise first byte and length (206). */
  readonly range: ByteRange | undefined
  /** Set on a `part` range: that part's checksum, where it has one. */
  readonly partChecksum: StoredChecksum | undefined
  /** All bytes of the range, where they lie with the row: a body of a few kilobytes. Then nothing needs to be read. */
  readonly whole?: Uint8Array | undefined
  /** All bytes of the range, where they can be had without waiting; to be asked for within the turn, in place of `read`. */
  lend(): LentBytes | undefined
  /**
   * Verified bytes of the range. Ends early only by throwing. Must be iterated or closed. Pieces that
   * stay the reader's are good until the next one is asked for.
   */
  read(signal: AbortSignal, pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /** Ends the reader's pin; safe to call twice. */
  close(): void
}

export interface DeleteRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId | undefined
  readonly conditions: Conditions
}

export interface DeleteResult {
  /** The version deleted, or the marker created; undefined in a bucket never versioned. */
  readonly versionId: VersionId | undefined
  /** A delete marker was created, or the version deleted was one. */
  readonly deleteMarker: boolean
}

export interface CopySource {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly versionId?: VersionId
  /** `x-amz-copy-source-if-*`: false always throws `preconditionFailed`. */
  readonly conditions: Conditions
}

export interface CopyRequest {
  readonly source: CopySource
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly conditions: Conditions
  /** Undefined: COPY. */
  readonly replaceAttributes: ObjectAttributes | undefined
  readonly replaceTags: Tags | undefined
  /** Of the copy; the source's stays with the source. */
  readonly acl?: ObjectAcl | undefined
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly signal: AbortSignal
}

export interface CopyResult extends PutResult {
  /** Undefined where the source's bucket was never versioned. */
  readonly sourceVersionId: VersionId | undefined
}

export interface ListRequest {
  readonly bucket: Bucket
  /** Byte strings, like keys; "" = none. */
  readonly prefix: string
  readonly delimiter: string
  /**
   * Entries and common prefixes after this key (exclusive). Where the marker lies inside a common
   * prefix of this listing (it begins with the prefix and has the delimiter after it), that whole
   * common prefix is skipped.
   */
  readonly after: string
  readonly max: number
  /** Whether objects are shown with their owners, which takes longer. */
  readonly withOwners?: boolean
}

export interface ListedObject {
  readonly key: ObjectKey
  readonly sizeBytes: number
  readonly etag: string
  readonly lastModifiedMs: number
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly checksumType: "COMPOSITE" | "FULL_OBJECT" | undefined
  /** Where owners were asked for; undefined: the bucket's owner. */
  readonly owner?: AccountId | undefined
}

export type ListEntry =
  { readonly kind: "object"; readonly object: ListedObject } | { readonly kind: "prefix"; readonly prefix: string }

export interface ListPage {
  /** Objects and common prefixes in one byte order, at most `max`. */
  readonly entries: readonly ListEntry[]
  /** Undefined: the end. Otherwise the `after` of the next page (the last entry's key or prefix). */
  readonly next: string | undefined
}

export interface ListVersionsRequest {
  readonly bucket: Bucket
  readonly prefix: string
  readonly delimiter: string
  readonly keyMarker: string
  /** With a key marker: entries of that key older than this version. */
  readonly versionIdMarker: VersionId | undefined
  readonly max: number
  readonly withOwners?: boolean
}

export type VersionEntry =
  | { readonly kind: "prefix"; readonly prefix: string }
  | {
      readonly kind: "version"
      readonly versionId: VersionId
      readonly isLatest: boolean
      readonly object: ListedObject
    }
  | {
      readonly kind: "marker"
      readonly versionId: VersionId
      readonly isLatest: boolean
      readonly key: ObjectKey
      readonly lastModifiedMs: number
    }

export interface VersionsPage {
  readonly entries: readonly VersionEntry[]
  readonly next: { readonly keyMarker: string; readonly versionIdMarker: VersionId | undefined } | undefined
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
}

export interface Objects {
  /** Throws `preconditionFailed`, `noSuchKey` (If-Match on nothing), `badDigest`, `incompleteBody`, `entityTooLarge` … */
  put(request: PutRequest): Promise<PutResult>
  /**
   * Headers and body of one version.
   * Throws `noSuchKey` (details.versionId and details.deleteMarker where the latest is a marker),
   * `noSuchVersion`, `isDeleteMarker` (the marker by id; details.lastModifiedMs), `preconditionFailed`,
   * `notModified` (details.etag, details.lastModifiedMs), `invalidRange` (details.sizeBytes), `invalidPartNumber`.
   */
  get(request: GetRequest): Soon<ObjectBody>
  /** Absent keys and versions are no error. Throws `preconditionFailed`, `noSuchKey` (If-Match on nothing). */
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
  /** Throws `conflict` where the version is not this owner's (any more). Undefined: as `ObjectInfo.acl`. */
  setAcl(target: ObjectTarget, acl: ObjectAcl | undefined): Promise<{ versionId: VersionId | undefined }>
  list(request: ListRequest): Promise<ListPage>
  listVersions(request: ListVersionsRequest): Promise<VersionsPage>
}

export interface CreateMultipartRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly attributes: ObjectAttributes
  readonly tags: Tags
  /** Of the object that it becomes. */
  readonly acl?: ObjectAcl | undefined
  /** The account that begins it; undefined: the bucket's owner, or nobody who is known. */
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
  /** Whose the object will be; undefined: the bucket's owner. */
  readonly owner: AccountId | undefined
  /** As it was begun with. */
  readonly initiator: AccountId | undefined
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly type: "COMPOSITE" | "FULL_OBJECT" } | undefined
}

export interface PartResult {
  readonly etag: string
  readonly checksum: StoredChecksum | undefined
  readonly lastModifiedMs: number
}

export interface PartInfo extends PartResult {
  readonly partNumber: number
  readonly sizeBytes: number
}

export interface CompletedPart {
  readonly partNumber: number
  readonly etag: string
  /** In base64, where the client sent one. */
  readonly checksum: string | undefined
}

export interface CompleteRequest extends MultipartTarget {
  readonly parts: readonly CompletedPart[]
  readonly conditions: Conditions
  /** `x-amz-mp-object-size`. */
  readonly sizeBytes: number | undefined
  /** Declared checksum of the whole object. */
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined
  readonly checksumType: "COMPOSITE" | "FULL_OBJECT" | undefined
  readonly signal: AbortSignal
}

export type UploadListEntry =
  { readonly kind: "upload"; readonly upload: MultipartInfo } | { readonly kind: "prefix"; readonly prefix: string }

export interface Multipart {
  create(request: CreateMultipartRequest): Promise<MultipartInfo>
  /** Throws `noSuchUpload`, `invalidRequest` (another algorithm than declared), and as `put`. */
  putPart(
    request: MultipartTarget & Pick<PutRequest, "body" | "signal"> & { readonly partNumber: number },
  ): Promise<PartResult>
  /** `range`: first and last byte, both inside the source, else `invalidRange`. */
  copyPart(
    request: MultipartTarget & {
      readonly partNumber: number
      readonly source: CopySource
      readonly range: { readonly first: number; readonly last: number } | undefined
      readonly signal: AbortSignal
    },
  ): Promise<PartResult & { readonly sourceVersionId: VersionId | undefined }>
  listParts(
    request: MultipartTarget & { readonly afterPart: number; readonly max: number },
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
  /** Throws `noSuchUpload`, `invalidPart`, `invalidPartOrder`, `entityTooSmall`, `invalidRequest`, `badDigest`, conditions as `put`. */
  complete(request: CompleteRequest): Promise<PutResult>
  /** Throws `noSuchUpload`. */
  abort(target: MultipartTarget): Promise<void>
}

export interface ObjectServices {
  readonly buckets: Buckets
  readonly objects: Objects
  readonly multipart: Multipart
}
