/**
 * How a feature makes objects of the bytes of others, which they reference: none is written. A copy is such an object of one
 * source.
 *
 * Refuses  Without such a feature, and in buckets without it, objects have bytes of their own.
 */
import { fail } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { VersionDetails, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { Completion } from "./commands/multipart-commands-core.js"
import type { Bucket, Conditions, NamedSource, PutResult } from "./contract.js"
import type { SegmentsName } from "./queries/manifest-core.js"

export interface ReferringObject {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly conditions: Conditions
  readonly sources: readonly NamedSource[]
  /** The one source, as the caller has read it: it may have grown since, but must not be another object. */
  readonly read?: VersionRecord
  readonly details: VersionDetails
  readonly storageClass: StorageClass
  readonly expiresAtSeconds?: number | undefined
  /** The size of all bytes, if the client knows it. */
  readonly sizeBytes?: number | undefined
  /** The upload that it completes. */
  readonly upload?: SegmentsName & { readonly completion: Completion; readonly partsBytes: number | undefined }
  readonly signal: AbortSignal
}

export interface Referring {
  /** Returns true if a copy of so many bytes to another key of the bucket references them. */
  copies(bucket: Pick<Bucket, "settings" | "versioning">, sizeBytes: number): boolean
  /**
   * Throws as `putVersion` and `completeUpload`, as a read of each source, `conflict` if a source was replaced,
   * `notImplemented`, and `invalidRequest`.
   */
  make(object: ReferringObject): Promise<PutResult>
}

/** `features`: they start after the core. */
export class ReferringObjects implements Referring {
  constructor(private readonly features: () => readonly Referring[]) {}

  copies(bucket: Pick<Bucket, "settings" | "versioning">, sizeBytes: number): boolean {
    return this.features().some(feature => feature.copies(bucket, sizeBytes))
  }

  async make(object: ReferringObject): Promise<PutResult> {
    const [feature] = this.features()
    if (feature === undefined) throw fail("notImplemented", { message: "objects have bytes of their own" })
    return feature.make(object)
  }
}
