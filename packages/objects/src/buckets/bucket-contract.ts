/** Buckets: the part of the contract for protocols that concerns buckets, their settings and what is in them. */
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { BucketLock, DefaultRetention } from "@hayloft/engine/format/objects/object-lock.js"
import type { BucketSettingName, SettingRecord } from "@hayloft/engine/format/records.js"

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
  /** The settings that have a document: lets most requests skip reading one. */
  readonly settings: readonly BucketSettingName[]
  /** Increases with each change of a setting: a setting that was read stays valid until then. */
  readonly settingsVersion: number
  /** Object lock is on, and stays on. */
  readonly lock?: BucketLock | undefined
  /** How long what is deleted or overwritten is kept; undefined: it is not. */
  readonly undeleteDays?: number | undefined
}

/** Documents of settings by name. */
export type SettingDocuments = ReadonlyMap<BucketSettingName, string>

export interface CreateBucketRequest {
  readonly name: BucketName
  readonly owner: AccountId
  readonly location: string
  /** Settings from creation on. */
  readonly settings?: SettingDocuments
  /** With object lock, and so with versioning. */
  readonly hasLock?: boolean
}

export interface BucketUsage {
  /** Latest versions except delete markers, as a listing shows them. */
  readonly objects: number
  /** All versions and delete markers. */
  readonly versions: number
  /** Bytes of all versions. */
  readonly bytes: number
  /** Multipart uploads in progress. */
  readonly uploads: number
  /** Deleted objects that features keep, in no other count; absent if the count is lost. */
  readonly kept?: { readonly objects: number; readonly bytes: number }
}

export interface Buckets {
  /** Throws `bucketOwnedByYou`, `bucketExists`, `entityTooLarge`. */
  create(request: CreateBucketRequest): Promise<Bucket>
  /** Throws `noSuchBucket`. The caller checks permissions against `owner`. */
  open(name: BucketName): Soon<Bucket>
  /** The same for a request that has been confirmed (`confirm`). */
  openConfirmed(name: BucketName): Soon<Bucket>
  /** Resolves once `openConfirmed` is as new as this call; undefined: it is. */
  confirm(): Promise<void> | undefined
  /** Aborts unfinished uploads. Throws `noSuchBucket`, `bucketNotEmpty`. */
  remove(bucket: Bucket): Promise<void>
  /** Buckets of an account in name order, after `after`, with `prefix`. */
  list(request: {
    owner: AccountId
    prefix?: string
    after?: string
    max: number
  }): Promise<{ buckets: readonly Bucket[]; next: string | undefined }>
  /** Throws `lockNeedsVersioning` for "suspended" in a bucket with object lock. */
  setVersioning(bucket: Bucket, state: "enabled" | "suspended"): Promise<void>
  /** Turns object lock on, and sets the default retention. Throws `lockNeedsVersioning`. */
  setLock(bucket: Bucket, defaultRetention: DefaultRetention | undefined): Promise<void>
  /** At least as new as `bucket`; undefined: no document. */
  setting(bucket: Bucket, name: BucketSettingName): Soon<SettingRecord | undefined>
  /** An undefined document removes the setting. Throws `noSuchBucket`, `bucketClosing`, `entityTooLarge`. */
  setSetting(bucket: Bucket, name: BucketSettingName, document: string | undefined): Promise<void>
  /**
   * Sets the document that follows from the one before; no other change comes between. `change` may run several times.
   * Throws what it throws, as `setSetting`, and `conflict` if others keep changing the setting.
   */
  changeSetting(bucket: Bucket, name: BucketSettingName, change: (former?: string) => string): Promise<void>
  usage(bucket: Bucket): Promise<BucketUsage>
}

/** The contents of a bucket. */
export interface BucketSize {
  /** The id is undefined, like the name, for several buckets together. */
  readonly id: BucketId | undefined
  readonly bucket: BucketName | undefined
  readonly objects: number
  readonly bytes: number
}
