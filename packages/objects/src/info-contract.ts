/**
 * The data that clients store with an object, and the information that they get about it: a part of the contract for
 * protocols.
 */
import type { MultipartId, VersionId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { ObjectAcl } from "@hayloft/engine/format/objects/acl.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { Tags } from "@hayloft/base/tags.js"

/** Headers stored with an object, byte for byte (one character a byte); absent = not given. */
export interface ContentHeaders {
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  readonly expires?: string
  /** The place where a website sends requests for the object. */
  readonly websiteRedirect?: string
  /** Swift's `X-Object-Manifest`: the container and the prefix of the segments of a dynamic large object, as it was stated. */
  readonly segmentPrefix?: string
  /** A symbolic link of Swift, as `format/symlink.ts` writes it. */
  readonly symlink?: string
  /** When another store wrote the object, to the last digit: see `timestampOfInfo`. */
  readonly timestamp?: string
}

/** Attributes that a client stores with an object. Equal ones often share one object, so that results can be cached. */
export interface ObjectAttributes {
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
}

/** User metadata: names in lower case without `x-amz-meta-`, values as bytes (one character a byte). */
export type UserMetadata = readonly (readonly [name: string, value: string])[]

export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly type: "COMPOSITE" | "FULL_OBJECT"
  /** In S3 format: base64, with "-N" for a composite one. */
  readonly value: string
}

/** How bytes are encrypted, as clients may see it: what is encrypted at rest only shows nothing. */
export type ShownEncryption =
  | { readonly mode: "s3" }
  | {
      readonly mode: "kms"
      readonly keyArn: string
      readonly usesBucketKey: boolean
      /** Canonical JSON; undefined: none. */
      readonly context: string | undefined
    }
  | { readonly mode: "client" }

/**
 * Called once it is known how bytes are encrypted, before any is copied or written: whether the caller may use their key.
 * What it throws ends the request.
 */
export type EncryptionCheck = (encryption: ShownEncryption | undefined) => Soon<void>

export interface ObjectInfo {
  /** "null" for the null version. */
  readonly versionId: VersionId
  readonly sizeBytes: number
  /** Without quotes: lower-case MD5, or "md5-N" for a multipart object. */
  readonly etag: string
  /** HTTP shows whole seconds; listings show the same second. */
  readonly lastModifiedMs: number
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
  readonly tags: Tags
  /** It is undefined if only the bucket's owner has access. */
  readonly acl: ObjectAcl | undefined
  /** The lock that was set; its retention may be over. */
  readonly lock: VersionLock | undefined
  readonly storageClass: StorageClass
  readonly checksum: StoredChecksum | undefined
  /** Number of parts of a multipart object; undefined for an object that was put whole. */
  readonly partsCount: number | undefined
  /** It is undefined if the object is not encrypted, or is encrypted at rest only. */
  readonly encryption?: ShownEncryption | undefined
  /** The restore of the object, which may be over. */
  readonly restore?: VersionRestore | undefined
  /** The second since 1970 from which on the object no longer exists; undefined: it does not expire. */
  readonly expiresAtSeconds?: number | undefined
  /**
   * Length of the stored bytes of a large object, which are a segment list. Its size and ETag ("md5-N" for N segments) are those
   * of what the segments are together. Undefined: it is no large object.
   */
  readonly segmentListBytes?: number | undefined
  /** The levels of a large object: how many are within one another, itself included. */
  readonly segmentLevels?: number | undefined
  /** The id of an object that may grow: no other has it, and it stays the same as long as the object only grows. */
  readonly stream?: MultipartId | undefined
}
