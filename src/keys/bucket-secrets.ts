/** Secrets of buckets, which the keys of their objects derive from, and their bucket keys of SSE-KMS. */
import type { KeyObject } from "node:crypto"
import type { BucketId } from "../base/ids.js"
import type { Soon } from "../base/soon.js"
import type { DataKeys, SealedSecret } from "./contract.js"

/** An opened secret. */
export interface BucketSecret {
  readonly number: number
  readonly key: KeyObject
  readonly bindKey: KeyObject
  readonly sealed: SealedSecret
}

export interface BucketSecrets {
  /** New objects use it; the first use makes it. Throws `keysUnavailable`. */
  current(bucketId: BucketId): Soon<BucketSecret>
  /** Throws `keysUnavailable` if there is none of this number, it was erased, or no epoch key opens it. */
  get(bucketId: BucketId, number: number): Soon<BucketSecret>
  /** The data key that new objects of the bucket share for a day. */
  currentBucketKey(
    bucketId: BucketId,
    keyArn: string,
    context: string,
    dataKeys: DataKeys,
  ): Soon<{ readonly number: number; readonly plain: Uint8Array }>
  openBucketKey(bucketId: BucketId, number: number, dataKeys: DataKeys): Soon<Uint8Array>
}
