/**
 * Remote buckets: buckets whose objects are in a bucket of another S3 store, the remote. What is read is cached here; what is
 * written goes to the remote, at once or later.
 *
 * A *remote store* is an endpoint with credentials, which the operator names in a file. A bucket becomes remote by a setting that
 * names such a store and a bucket in it (`RemoteSetting`).
 */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type {
  Bucket,
  Conditions,
  ContentHeaders,
  GetRequest,
  ListedObject,
  ListRequest,
  ObjectBody,
  UserMetadata,
} from "@hayloft/objects/contract.js"
import type { REMOTES } from "./schemas.js"

/** How writes reach the remote: before the answer, later, or not at all. */
export const REMOTE_WRITES = ["Through", "Back", "None"] as const
type RemoteWrites = (typeof REMOTE_WRITES)[number]

/** When a cached object is compared with the remote's: never, before each read, or once the last time is `maxAgeSeconds` ago. */
export type Freshness =
  | { readonly check: "Never" }
  | { readonly check: "Always" }
  | { readonly check: "Age"; readonly maxAgeSeconds: number }

/** The setting of a bucket that is remote. */
export interface RemoteSetting {
  /** Name of the remote store in the operator's file. */
  readonly store: string
  /** The bucket there. */
  readonly bucket: string
  /** The text that precedes each key there; "" for nothing. */
  readonly prefix: string
  readonly freshness: Freshness
  /** A cached object that cannot be compared, because the remote does not respond, is read all the same. */
  readonly serveStale: boolean
  readonly writes: RemoteWrites
  /** The remote's ETags of 32 digits are not the MD5 of the bytes: they are not compared with them. */
  readonly opaqueEtags: boolean
}

/** An object of the remote, as its response describes it. */
export interface OriginObject {
  readonly sizeBytes: number
  /** Without quotes; "" if the remote gives none. */
  readonly etag: string
  /** The ETag should be the MD5 of the bytes, in hex. */
  readonly etagIsMd5: boolean
  readonly lastModifiedMs: number
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
}

/** Bytes from `first` on; a remote that ignores ranges is refused. */
export interface OriginRange {
  readonly first: number
  readonly lengthBytes: number
}

export interface OriginListing {
  /** Objects and common prefixes in the order of their bytes. */
  readonly entries: readonly OriginEntry[]
  /** The token of the next page; undefined at the end. */
  readonly next: string | undefined
}

export type OriginEntry =
  | {
      readonly kind: "object"
      readonly key: ObjectKey
      readonly etag: string
      readonly sizeBytes: number
      readonly lastModifiedMs: number
    }
  | { readonly kind: "prefix"; readonly prefix: string }

/** A new object for the remote. Its parts, if it has several, are those that it was uploaded in, so that its ETag stays. */
export interface OriginUpload {
  readonly sizeBytes: number
  readonly headers: ContentHeaders
  readonly userMetadata: UserMetadata
  /** In the order of the bytes; one, for an object that was put whole. */
  readonly parts: readonly OriginPart[]
  readonly isMultipart: boolean
  /** Further headers of S3: tags, a storage class. */
  readonly fields?: readonly (readonly [name: string, value: string])[]
  readonly conditions: Pick<Conditions, "ifMatch" | "ifNoneMatch">
}

export interface OriginPart {
  readonly sizeBytes: number
  /** In hex, if it is known. */
  readonly md5: string | undefined
  /** May be called again if the part is sent again. */
  readonly open: () => AsyncIterable<Uint8Array>
}

/**
 * One bucket of a remote store.
 *
 * Failures  `noSuchKey`, `preconditionFailed` as of the object services; `remoteUnavailable` if the remote does not respond, or
 *           breaks off; `remoteRefused` if it refuses the request or the credentials, or its response makes no sense.
 */
export interface Origin {
  head(key: ObjectKey, signal: AbortSignal): Promise<OriginObject>
  /** `etag`: of the object that is meant; another one fails with `preconditionFailed`. The body must be read or left by `break`. */
  get(
    key: ObjectKey,
    wanted: { readonly range?: OriginRange | undefined; readonly etag?: string | undefined },
    signal: AbortSignal,
  ): Promise<{ readonly object: OriginObject; readonly body: AsyncIterable<Uint8Array> }>
  /** `token`: of an earlier page of the same listing. */
  list(
    request: Pick<ListRequest, "prefix" | "delimiter" | "after" | "max"> & { readonly token?: string | undefined },
    signal: AbortSignal,
  ): Promise<OriginListing>
  put(key: ObjectKey, upload: OriginUpload, signal: AbortSignal): Promise<{ readonly etag: string }>
  /** An object that does not exist is not an error. */
  remove(key: ObjectKey, conditions: Pick<Conditions, "ifMatch">, signal: AbortSignal): Promise<void>
}

/** How a listed object of a remote bucket is kept here. */
type RemoteStatus = "remote" | "cached" | "pending"

export type RemoteListEntry =
  | { readonly kind: "object"; readonly object: ListedObject; readonly status: RemoteStatus }
  | { readonly kind: "prefix"; readonly prefix: string }

export interface RemoteListPage {
  readonly entries: readonly RemoteListEntry[]
  readonly next: string | undefined
}

export interface RemoteListRequest extends ListRequest {
  /** Also tells cached objects from others, which takes longer. */
  readonly withStatus: boolean
}

/** How a read was answered. */
export type ReadOutcome = "hit" | "miss" | "revalidated" | "stale" | "pending"

export interface RemoteRead {
  readonly body: ObjectBody
  readonly outcome: ReadOutcome
}

/**
 * The options of a request to a remote bucket: when its client has left, and the header that says what it has come
 * through (`checkHops`).
 */
export interface AskOptions {
  readonly signal: AbortSignal
  readonly hops: string | undefined
}

/** Remote buckets for protocols. All methods throw as `Origin`, and `invalidRequest` if the store is not named in the file. */
export interface RemoteBuckets {
  /** The setting of a bucket; undefined: it is not remote. Costs nothing for those that are not. */
  settingOf(bucket: Bucket): Soon<RemoteSetting | undefined>
  /**
   * Throws `accessDenied` if the bucket's owner may not use the store, `invalidRequest` for a bucket that cannot be remote, and
   * `conflict` while writes are pending. Prepares the bucket: it becomes versioned, as pending writes are versions.
   * Returns the setting to store first, with which the bucket takes no writes, if there is one; then `requireNothingPending` is due.
   */
  prepare(bucket: Bucket, setting: RemoteSetting): Promise<RemoteSetting | undefined>
  /** Throws `conflict` while writes are pending: then the bucket stays as it is. */
  requireNothingPending(bucket: Bucket): Promise<void>
  /** Opens an object as `Objects.get` does. `revalidates`: compares a cached object with the remote's, whatever the rule. */
  open(
    setting: RemoteSetting,
    request: Pick<
      GetRequest,
      "bucket" | "key" | "range" | "ifRange" | "conditions" | "headersOnly" | "checkEncryption"
    >,
    options: AskOptions & { readonly revalidates: boolean },
  ): Promise<RemoteRead>
  list(setting: RemoteSetting, request: RemoteListRequest, options: AskOptions): Promise<RemoteListPage>
  /** Objects that are cached, in whole or in part; the remote is not asked. There are no common prefixes. */
  listCached(bucket: Bucket, request: ListRequest): Promise<RemoteListPage>
  /**
   * Completes a write: `versionId` of the bucket has what was written. Resolves once the remote has it, with its ETag, or, with
   * write-back, as soon as it is pending. The conditions are for the remote. If it fails, the version is removed. A client that
   * goes away does not end it.
   */
  written(
    bucket: Bucket,
    key: ObjectKey,
    versionId: VersionId,
    conditions: Pick<Conditions, "ifMatch" | "ifNoneMatch"> & Pick<AskOptions, "hops">,
  ): Promise<string | undefined>
  /** Throws `preconditionFailed`, `notImplemented` for conditions that a remote could not check. */
  remove(bucket: Bucket, key: ObjectKey, conditions: Conditions, options: Pick<AskOptions, "hops">): Promise<void>
  /** Brings an object into the cache. */
  prefetch(setting: RemoteSetting, bucket: Bucket, key: ObjectKey, options: AskOptions): Promise<void>
  /** Drops what is cached of an object; what is only here stays. */
  evict(bucket: Bucket, key: ObjectKey): Promise<void>
}

/** Remote buckets as the admin API shows them. */
export interface RemoteAdmin {
  /** Buckets that are remote, in no order. */
  buckets(): Promise<readonly { readonly bucket: Bucket; readonly setting: RemoteSetting }[]>
  stores(): readonly ShownStore[]
  cache(): ShownCache
  pending(bucket: Bucket, max: number): Promise<readonly PendingWrite[]>
  /** Lets pending writes go on that were held after a loss of rows. */
  resume(bucket: Bucket): Promise<void>
}

export type ShownStore = ReadOnly<z.output<typeof REMOTES>>["stores"][number]

export type ShownCache = ReadOnly<z.output<typeof REMOTES>>["cache"]

/** A write that the remote does not have yet. */
export interface PendingWrite {
  readonly key: ObjectKey
  readonly kind: "put" | "delete"
  readonly sizeBytes: number
  readonly sinceMs: number
  readonly lastError: string | undefined
}
