/** Buckets at moments: their objects at one, and differences between two. Moments are whole microseconds since 1970. */
import type { Bucket } from "./buckets/bucket-contract.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { ListPage, ListRequest } from "./listing-contract.js"

/** Which objects of a bucket differ between two moments. */
export interface DifferencesRequest {
  readonly bucket: Bucket
  /** A byte string, like keys. */
  readonly prefix: string
  /** Only this key, not those that begin with it. */
  readonly isOneKey?: boolean
  /** Keys behind this one; "": all. */
  readonly after: string
  /** Up to this key; undefined: all. */
  readonly until?: string | undefined
  /** Not after `toUs`. */
  readonly fromUs: number
  readonly toUs: number
  /** The maximum of differences. */
  readonly max: number
}

/** An object at a moment. */
export interface ObjectThen {
  readonly versionId: VersionId
  readonly sizeBytes: number
  readonly etag: string
  readonly lastModifiedMs: number
  readonly storageClass: StorageClass
  /** The redirect of a website, which copies do not have. */
  readonly websiteRedirect: string | undefined
}

/**
 * A condition: the key has had no new version since the moment, and its object is still the one that it was then. If one
 * version is removed: it is not newer than the moment.
 */
export interface ObjectAt {
  readonly atUs: number
  /** It is undefined if there was no object. */
  readonly versionId: VersionId | undefined
}

/** A key with its object at the first moment and at the second: it was added, removed or changed. */
export interface ObjectDifference {
  readonly key: ObjectKey
  readonly before: ObjectThen | undefined
  readonly after: ObjectThen | undefined
}

export interface DifferencesPage {
  readonly differences: readonly ObjectDifference[]
  /** Objects of these keys that are the same at both moments. */
  readonly unchanged: { readonly objects: number; readonly bytes: number }
  /** Keys that were looked at. */
  readonly scanned: number
  /** It is undefined at the end; otherwise it is the `after` of the next page. */
  readonly next: string | undefined
}

/**
 * Reads of buckets with a history at moments.
 *
 * Promises  All answers about a moment show one state, the same on every node and whenever they are given: it has exactly the
 *           changes that were committed up to the moment. What is changed in place (tags, access control lists, locks,
 *           attributes) is shown as it is now.
 * Refuses   `historyIncomplete` for a moment of which versions may be missing, and for a bucket without a history;
 *           `invalidArgument` for a moment in the future.
 */
export interface Moments {
  /** A moment that has everything which was acknowledged before the call. */
  now(): Promise<number>
  /** Throws the refusals for this moment, if there are any. */
  check(bucket: Bucket, atUs: number): Promise<void>
  /** The version that was the object then. Throws `noSuchKey`, as `Objects.get` does without a version. */
  versionAt(bucket: Bucket, key: ObjectKey, atUs: number): Promise<VersionId>
  /**
   * Works like `versionAt`, but does not close the moment, so later commits may change the answer. The moment may be
   * in the future.
   */
  versionSoFar(bucket: Bucket, key: ObjectKey, atUs: number): Promise<VersionId>
  /** A page may have fewer entries than fit: `next` says whether there are more. */
  list(request: ListRequest, atUs: number): Promise<ListPage>
  /** Pages may be short, as those of `list`. Throws `invalidArgument` if the first moment is the later one. */
  differences(request: DifferencesRequest): Promise<DifferencesPage>
}
