/**
 * Keys of objects: how the key that seals an object's bytes is made, found again and bound to its record. See decisions
 * 56 and 57.
 *
 * Promises  No key of an object is stored: it follows from the secret of its bucket, its salt, and what the KMS or the
 *           client provides. Without the secret of the bucket no object of it can be read, in any mode.
 */
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { BoundSealing, Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { DataKey } from "./provider.js"

/** A key of the control record under which secrets of buckets are sealed. */
export interface EpochKey {
  readonly number: number
  /** 32 bytes. */
  readonly key: Uint8Array
}

export interface EpochKeys {
  /**
   * New secrets are sealed under it. The first use makes it: every device then has format epoch 2 before it is used.
   * `above`: keys up to this one are about to be removed. Throws `keysUnavailable`.
   */
  current(above?: number): Soon<EpochKey>
  /** 32 bytes. Throws `keysUnavailable`. */
  get(number: number): Soon<Uint8Array>
}

/** The KMS. `context`: canonical JSON of all pairs. Throws what decision 57 lists. */
export interface DataKeys {
  newDataKey(keyArn: string, context: string): Soon<DataKey>
  openDataKey(keyArn: string, ciphertext: Uint8Array, context: string): Soon<Uint8Array>
}

/** How new bytes are to be sealed. */
export type Protection =
  /** `atRest` is not shown to clients, `s3` is SSE-S3. */
  | { readonly mode: "atRest" | "s3" }
  /** The caller has resolved the key and checked the permissions. `context`: canonical JSON of all pairs, with aws:s3:arn. */
  | { readonly mode: "kms"; readonly keyArn: string; readonly context: string; readonly usesBucketKey: boolean }
  /** `key`: 32 bytes. */
  | { readonly mode: "client"; readonly key: Uint8Array }

/** The bucket secret as its row has it: sealed under an epoch key. */
export interface SealedSecret {
  readonly epoch: number
  readonly sealed: Uint8Array
}

/** The data that the rows of a bucket's keys have for a sealing. */
export interface SealingRows extends SealedSecret {
  /** The ciphertext of the bucket key that the sealing names. */
  readonly bucketKey?: Uint8Array
}

/** The key of a new object or multipart upload. */
export interface CreatedKey {
  readonly sealing: Sealing
  /** 32 bytes: seals an inline payload (block 0, segment 0, last), and the keys of extents derive from it. */
  readonly key: Uint8Array
  /** For the recovery header. */
  readonly secret: SealingRows
}

/** The facts that `bind` ties together. */
export interface BoundFacts {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The random half of the version id. */
  readonly random: Uint8Array
  /** The size of the plaintext. */
  readonly sizeBytes: number
  /** The MD5 of the ETag. */
  readonly md5: Uint8Array
  readonly parts: number
}

export interface ObjectKeys {
  /** Throws `keysUnavailable`, and what the KMS throws. */
  create(bucketId: BucketId, protection: Protection): Soon<CreatedKey>
  /**
   * The key of sealed bytes. `clientKey` is that of SSE-C: required for the mode "client", refused for others
   * (`invalidRequest`); another key than that of the object: `accessDenied`. Throws `keysUnavailable`, and what the KMS
   * throws.
   */
  open(bucketId: BucketId, sealing: Sealing, clientKey: Uint8Array | undefined): Soon<Uint8Array>
  /** Needs neither the KMS nor the client's key. Throws `keysUnavailable`. */
  bind(sealing: Sealing, facts: BoundFacts): Soon<BoundSealing>
  /** Throws `corruptSeal` if the record was not bound to these facts, `keysUnavailable`. */
  checkBind(sealing: BoundSealing, facts: BoundFacts): Soon<void>
  /** For recovery headers of parts. Throws `keysUnavailable`. */
  rowsOf(bucketId: BucketId, sealing: Sealing): Soon<SealingRows>
  /**
   * The key of the digests of blocks in a class of a bucket, always the same: 32 bytes. Throws `keysUnavailable`,
   * `noSuchBucket`, `bucketClosing`.
   */
  digestKey(bucketId: BucketId, storageClass: StorageClass): Soon<Uint8Array>
  /** The secret of a bucket, as a recovery header has it. Throws `keysUnavailable`. */
  openSecret(bucketId: BucketId, secret: SealedSecret): Soon<Uint8Array>
  /** Adds the secret if the bucket has none. Throws `keysUnavailable` if it has another one, or it was erased. */
  restoreSecret(bucketId: BucketId, secret: Uint8Array): Promise<void>
  /**
   * Puts back what the rows of the bucket's keys lack of a sealing. Throws `keysUnavailable` if they have another secret
   * or bucket key, or nobody knows the bucket key; `noSuchBucket`, `bucketClosing`.
   */
  restore(bucketId: BucketId, sealing: Sealing, lost: LostKeys): Promise<void>
}

/** Keys whose rows were lost. */
export interface LostKeys {
  /** The secret of the bucket: 32 bytes. */
  readonly secret: Uint8Array
  /** The ciphertext of the bucket key that the sealing names. */
  readonly bucketKey: Uint8Array | undefined
}
