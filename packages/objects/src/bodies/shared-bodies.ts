/**
 * How a feature takes part in storing bodies: it may know blocks that the bucket has already, and which are referenced
 * instead of written.
 *
 * Promises  Without such a feature, and in buckets without it, all blocks are written.
 */
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { UploadId } from "@hayloft/base/ids.js"
import type { KnownBlocks, WrittenRun } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { SegmentRecord, SegmentSource, UploadedPart, UploadRecord } from "@hayloft/engine/format/records.js"
import type { Completion, UploadAddress } from "../commands/multipart-commands-core.js"
import type { PutVersion, Stored } from "../commands/version-commands-core.js"
import type { Bucket } from "../contract.js"

/** A body that is about to be stored. */
export interface NewBody {
  readonly bucket: Bucket
  readonly storageClass: StorageClass
  readonly blockBytes: number
  /** Shorter bodies are not looked for. */
  readonly shortBytes: number
  nextUpload(): UploadId
}

/** The blocks of a body, some of which the bucket may have. */
export interface SharedBody extends KnownBlocks {
  readonly kind: "body"
  /** The uploads under which the runs after the first are written. */
  readonly uploads: readonly UploadId[]
  /**
   * Makes a version of the runs that were written, and of the blocks that were found. Throws as `putVersion`;
   * `tooManyInFlight` if blocks that were found are being deleted by now: the body is gone, and the request must be repeated.
   */
  put(put: Omit<PutVersion, "uploadId" | "sharesWith">, written: readonly WrittenRun[]): Promise<Stored>
}

/** The blocks of a part, all of which are written. */
export interface SharedPart extends KnownBlocks {
  readonly kind: "part"
  /** The digests of all blocks of the part, by which its upload is completed; undefined: there are none. */
  ofExtent(extent: Extent): Uint8Array | undefined
}

/** An upload whose part list is frozen. */
export interface FrozenUpload {
  readonly address: UploadAddress
  readonly upload: UploadRecord
  readonly completion: Completion
}

/** The segments of an upload that is completed. */
export interface SharedSegments {
  /** Writes a segment of the part list, some of whose parts may refer to the bytes of others. Returns what was written. */
  put(number: number, segment: SegmentRecord & { readonly parts: readonly UploadedPart[] }): Promise<SegmentRecord>
  /** The upload is completed. Throws no failure. */
  completed(sizeBytes: number, sources: readonly SegmentSource[]): Promise<void>
}

export interface BodySharing {
  /** Resolves with undefined if all blocks are written. */
  ofBody(body: NewBody): Promise<SharedBody | undefined>
  /** Resolves with undefined if the part gets no digests. */
  ofPart(part: Pick<NewBody, "bucket" | "storageClass">): Promise<SharedPart | undefined>
  /** `shortBytes`: shorter parts are not looked for alone. Returns undefined if the parts have their own bytes. */
  ofUpload(
    bucket: Bucket,
    upload: FrozenUpload & { readonly shortBytes: number },
    parts: readonly UploadedPart[],
  ): SharedSegments | undefined
}

/** The sharing of the features of a store: the first that takes part decides. `features`: they start after the core. */
export class SharedBodies implements BodySharing {
  constructor(private readonly features: () => readonly BodySharing[]) {}

  async ofBody(body: NewBody): Promise<SharedBody | undefined> {
    for (const feature of this.features()) {
      const shared = await feature.ofBody(body)
      if (shared !== undefined) return shared
    }
    return undefined
  }

  async ofPart(part: Pick<NewBody, "bucket" | "storageClass">): Promise<SharedPart | undefined> {
    for (const feature of this.features()) {
      const shared = await feature.ofPart(part)
      if (shared !== undefined) return shared
    }
    return undefined
  }

  ofUpload(...upload: Parameters<BodySharing["ofUpload"]>): SharedSegments | undefined {
    for (const feature of this.features()) {
      const shared = feature.ofUpload(...upload)
      if (shared !== undefined) return shared
    }
    return undefined
  }
}
