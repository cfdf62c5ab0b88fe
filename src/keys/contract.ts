/**
 * Keys of sealed objects: the secret of a bucket, the key of an object, and what ties its record to its place. See
 * decision 56.
 *
 * Promises  Without the secret of its bucket no object can be read, in any mode.
 * Failures  `keysUnavailable` where a secret cannot be opened, and those of the key service.
 */
import type { BucketId, ObjectKey } from "../base/ids.js"
import type { Soon } from "../base/soon.js"
import type { BoundSealing, Sealing } from "../format/sealing.js"

/** A key of the control record under which secrets of buckets are sealed. */
export interface EpochKey {
  readonly number: number
  readonly key: Uint8Array
}

export interface EpochKeys {
  /** New secrets are sealed under it. The first use makes it: every device then has format epoch 2 before it is used. */
  current(): Soon<EpochKey>
  /** 32 bytes. Throws `keysUnavailable`. */
  get(number: number): Uint8Array
}

/** How new bytes are to be sealed. */
export type Protection =
  | { readonly mode: "atRest" | "s3" }
  /** The caller has resolved the key and checked the permissions. */
  | {
      readonly mode: "kms"
      readonly keyArn: string
      /** Canonical JSON of all pairs, with `aws:s3:arn`. */
      readonly context: string
      readonly usesBucketKey: boolean
    }
  /** `key`: 32 bytes. */
  | { readonly mode: "client"; readonly key: Uint8Array }

/** The key of a new object or multipart upload. */
export interface CreatedKey {
  readonly sealing: Sealing
  /** 32 bytes: seals an inline payload (block 0, segment 0, the last), and extent keys derive from it. */
  readonly key: Uint8Array
  /** For the recovery header: the secret of the bucket as its row has it. */
  readonly secret: { readonly epoch: number; readonly sealed: Uint8Array }
}

/** What `bind` ties together. */
export interface BoundFacts {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The random half of the version id. */
  readonly random: Uint8Array
  readonly sizeBytes: number
  /** Of the ETag. */
  readonly md5: Uint8Array
  readonly parts: number
}

export interface ObjectKeys {
  /** Throws `keysUnavailable`, and those of the key service. */
  create(bucketId: BucketId, protection: Protection): Soon<CreatedKey>
  /**
   * The key of sealed bytes. `clientKey`: of SSE-C; required for mode "client", refused for others (`invalidRequest`);
   * another one: `accessDenied`.
   */
  open(bucketId: BucketId, sealing: Sealing, clientKey: Uint8Array | undefined): Soon<Uint8Array>
  bind(sealing: Sealing, facts: BoundFacts): Soon<BoundSealing>
  /** Throws `corruptSeal` if the record was not bound to these facts. */
  checkBind(sealing: BoundSealing, facts: BoundFacts): Soon<void>
  /** The secret of the bucket as its row has it: for recovery headers of parts, and for repair. */
  sealedSecret(bucketId: BucketId, secret: number): Soon<{ readonly epoch: number; readonly sealed: Uint8Array }>
}
