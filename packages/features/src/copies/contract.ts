/**
 * Copies of buckets in other stores: each change of an object of the bucket reaches a bucket of another S3 store, seconds later.
 *
 * The log of the bucket has a row for each change (`object/commands/copies-core.ts`), and a token says how far the target is. A bucket gets
 * a target by the setting `copies`, which names a remote store of the operator's file (`origin/stores.ts`) and a bucket in it.
 */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { CopiesSetting, CopiesValue } from "./setting.js"

interface ParkedShown {
  readonly key: ObjectKey
  readonly reason: string
  readonly attempts: number
  readonly sinceMs: number
  /** It is undefined if only a change of the object helps. */
  readonly nextMs: number | undefined
}

export interface CopiesStatus {
  readonly setting: CopiesSetting
  /** `waiting`: nothing was copied yet. */
  readonly phase: "waiting" | "filling" | "following"
  /** Since when it is in this phase. */
  readonly sinceMs: number | undefined
  /** While it is filled: the last key that is copied. */
  readonly place: ObjectKey | undefined
  /** How often it was filled, with this time. */
  readonly fills: number
  readonly isPaused: boolean
  /** The changes in the log that the target lacks, and parked objects. */
  readonly lag: {
    readonly objects: number
    readonly bytes: number
    readonly seconds: number
    /** There are more than were counted. */
    readonly isCut: boolean
  }
  /** Everything that was acknowledged up to here is in the target, but for parked objects; undefined while it is filled. */
  readonly copiedToUs: number | undefined
  readonly error: string | undefined
  readonly errorMs: number | undefined
  /** The first of those that were not copied. */
  readonly parked: readonly ParkedShown[]
  readonly hasMoreParked: boolean
}

/** Copies, as the admin API sees them. */
export interface CopiesAdmin {
  /** Returns undefined if the bucket is not copied. */
  settingOf(bucket: Bucket): Promise<CopiesSetting | undefined>
  /**
   * Throws `invalidRequest` for a bucket that cannot be copied, or a store that the file does not name, `accessDenied` if the owner of the
   * bucket may not use the store, and as the target if it cannot be listed.
   */
  set(bucket: Bucket, value: CopiesValue): Promise<void>
  /** Returns undefined if the bucket is not copied. */
  status(bucket: Bucket): Promise<CopiesStatus | undefined>
  /** Throws `conflict` if nothing was copied yet. */
  pause(bucket: Bucket, isPaused: boolean): Promise<void>
  /**
   * All objects are compared with the target, and sent where they differ. `removesOthers`: copies of objects that the bucket does not have
   * are removed there. Throws `conflict` if nothing was copied yet, `invalidRequest` if the bucket's removals are not copied.
   */
  fillAgain(bucket: Bucket, removesOthers: boolean): Promise<void>
}
