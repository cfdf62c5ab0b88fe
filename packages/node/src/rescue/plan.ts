/** Plan of a rescue: the versions to write for one object key, and the facts that they are derived from. */
import type { VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { MultipartId, UploadId, VersionId } from "@hayloft/base/ids.js"
import type { UploadMark } from "@hayloft/engine/format/metadata-backup.js"
import type { Versioning } from "@hayloft/engine/format/records.js"
import type { RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import type { LargeObject, VersionDetails } from "@hayloft/engine/format/objects/version-record.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import { incarnationOf, isOrdered } from "@hayloft/engine/format/needles/upload-id.js"
import type { StoredChecksum, VersionLock } from "@hayloft/objects/contract.js"
import type { BodyMatch } from "@hayloft/engine/block/index.js"
import type { KnownKey } from "./key-rows-core.js"
import type { CatalogedShard, CatalogedUpload } from "./needle-catalog.js"

export type CatalogedBody = BodyMatch<CatalogedShard>

export type WholeBody = Extract<CatalogedBody, { kind: "whole" }>

/** Some bytes of a body. */
export interface BodyRange {
  readonly body: WholeBody
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** An object in a pack. */
export interface PackedBody extends BodyRange {
  /** Hexadecimal, of `idOfVersion`: in the order of the versions of the key. */
  readonly version: string
  /** The single upload that had its bytes before; undefined: those were elsewhere. */
  readonly upload: UploadId | undefined
  /** The segments that the version had while it was in the pack. */
  readonly segments: MultipartId
  readonly header: RecoveryHeader
}

export interface PlannedPart {
  readonly partNumber: number
  readonly body: WholeBody
  /** The MD5 is undefined if unknown. */
  readonly md5: Uint8Array | undefined
  readonly checksum: string | undefined
}

export type PlannedContent =
  | { readonly kind: "marker" }
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "single"; readonly body: WholeBody }
  | { readonly kind: "multipart"; readonly parts: readonly PlannedPart[] }
  /** Bytes of a single upload that lie in a pack. */
  | { readonly kind: "packed"; readonly range: BodyRange }
  /** Bytes one after another, of an object that grew, or has the bytes of others. */
  | { readonly kind: "ranges"; readonly ranges: readonly BodyRange[] }

export interface PlannedVersion {
  readonly certainty: "certain" | "probable"
  readonly content: PlannedContent
  readonly isNull: boolean
  /** If undefined: the recovery header of `noteOf` contains them. */
  readonly details: VersionDetails | undefined
  readonly noteOf: UploadId | undefined
  /** In its row, or in that of the upload; undefined: none, or unknown. */
  readonly lock: VersionLock | undefined
  /** If undefined, the class is as the recovery header of `noteOf` says. */
  readonly storageClass: StorageClass | undefined
  /** The end of a restore, which may be over; undefined if the version was not restored, or its row is unknown. */
  readonly restore?: VersionRestore | undefined
  /** The second from which on it does not exist any more, also if that has passed; undefined: it does not expire, or it is unknown. */
  readonly expiresAtSeconds?: number | undefined
  /** Its bytes are the segment list of a large object; undefined: they are not, or it is unknown. */
  readonly largeObject?: LargeObject | undefined
  /** How it is encrypted; "noted": as the recovery header of `noteOf` says. */
  readonly sealing: Sealing | "noted" | undefined
  /** Its value is undefined if unknown. */
  readonly checksum: (Omit<StoredChecksum, "value"> & { readonly value: string | undefined }) | undefined
  /** The MD5 of a single upload; it is undefined if unknown. */
  readonly md5: Uint8Array | undefined
  readonly sizeBytes: number
  readonly reportEntry: RescueReportEntry
}

/** The report entry of a version, complete or not. */
export interface RescueReportEntry {
  readonly versionId?: VersionId
  readonly uploadId?: UploadId
  readonly multipartId?: MultipartId
  readonly etag?: string
  readonly modifiedMs?: number
  readonly notes: readonly string[]
}

export interface Lost {
  /** The size is undefined if unknown. */
  readonly sizeBytes: number | undefined
  readonly reportEntry: RescueReportEntry
}

export interface KeyPlan {
  /** In the order of writing. */
  readonly versions: readonly PlannedVersion[]
  readonly incomplete: readonly Lost[]
  /** Probable, and not written: the key has a certain version, and there is no evidence that these are newer. */
  readonly leftOut: readonly Lost[]
  /** Uploads that are older than the written ones. */
  readonly superseded: number
  /** Versions of the snapshot whose shards were removed since. */
  readonly deleted: number
}

export interface KeyFacts {
  /** It is undefined if the snapshot has no rows of the key. */
  readonly known: KnownKey | undefined
  readonly uploads: readonly CatalogedUpload[]
  readonly isSnapshotComplete: boolean
  /** Several nodes wrote to the store at the same time: see `areOrdered`. */
  readonly isShared: boolean
  /** All folders of the store are present and undamaged: a shard in none of them was removed. */
  readonly isAllHere: boolean
  /** The mark is undefined if there is no snapshot. */
  readonly decidedBelow: UploadMark | undefined
  /** It is undefined if unknown. */
  readonly versioning: Versioning | undefined
  /** The object's bytes in packs of which the snapshot does not know. */
  readonly packed?: readonly PackedBody[]
  /** Returns the body of an upload, with its encryption; `row`: its extent in a row, if one is known. */
  readonly bodyOf: (uploadId: UploadId, row: Extent | undefined) => CatalogedBody
}

/**
 * Returns true if the ids show which upload is newer: the higher one is. Those of different nodes do not, nor do those of
 * different threads of one process.
 */
export const areOrdered = (a: UploadId, b: UploadId, { isShared }: Pick<KeyFacts, "isShared">): boolean =>
  isShared ? incarnationOf(a) === incarnationOf(b) : isOrdered(a, b)

/** Whose uploads have no order. */
export const writerIn = ({ isShared }: Pick<KeyFacts, "isShared">): "node" | "thread" => (isShared ? "node" : "thread")

export const withNote = (reportEntry: RescueReportEntry, note: string): RescueReportEntry => ({
  ...reportEntry,
  notes: [...reportEntry.notes, note],
})

/** All bytes of a body. */
export const wholeOf = (body: WholeBody): BodyRange => ({ body, offsetBytes: 0, lengthBytes: body.extent.lengthBytes })

/** Returns what the content consists of, in blocks. */
export function rangesIn(content: PlannedContent): readonly BodyRange[] {
  if (content.kind === "single") return [wholeOf(content.body)]
  if (content.kind === "packed") return [content.range]
  if (content.kind === "ranges") return content.ranges
  return content.kind === "multipart" ? content.parts.map(({ body }) => wholeOf(body)) : []
}

export const bodiesOf = (content: PlannedContent): readonly WholeBody[] => rangesIn(content).map(({ body }) => body)
