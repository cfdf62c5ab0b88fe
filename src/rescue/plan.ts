/** What a rescue plans for one object key, and from what. */
import type { MultipartId, UploadId, VersionId } from "../base/ids.js"
import type { UploadMark } from "../format/metadata-backup.js"
import type { Versioning } from "../format/records.js"
import type { VersionDetails } from "../format/version-record.js"
import type { StoredChecksum } from "../object/contract.js"
import type { BodyMatch } from "./body-core.js"
import type { KnownKey } from "./key-rows-core.js"
import type { CatalogedUpload } from "./needle-catalog.js"

export type WholeBody = Extract<BodyMatch, { kind: "whole" }>

export interface PlannedPart {
  readonly partNumber: number
  readonly body: WholeBody
  /** Undefined: unknown. */
  readonly md5: Uint8Array | undefined
  readonly checksum: string | undefined
}

export type PlannedContent =
  | { readonly kind: "marker" }
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "single"; readonly body: WholeBody }
  | { readonly kind: "multipart"; readonly parts: readonly PlannedPart[] }

export interface PlannedVersion {
  readonly certainty: "certain" | "probable"
  readonly content: PlannedContent
  readonly isNull: boolean
  /** Undefined: what the recovery header of `noteOf` says. */
  readonly details: VersionDetails | undefined
  readonly noteOf: UploadId | undefined
  /** Its value is undefined where it is not known. */
  readonly checksum: (Omit<StoredChecksum, "value"> & { readonly value: string | undefined }) | undefined
  /** Of a single upload; undefined: unknown. */
  readonly md5: Uint8Array | undefined
  readonly sizeBytes: number
  readonly told: RescueReportEntry
}

/** How a version, or what there is of one, is spoken of. */
export interface RescueReportEntry {
  readonly versionId?: VersionId
  readonly uploadId?: UploadId
  readonly multipartId?: MultipartId
  readonly etag?: string
  readonly modifiedMs?: number
  readonly notes: readonly string[]
}

export interface Lost {
  /** Undefined: unknown. */
  readonly sizeBytes: number | undefined
  readonly told: RescueReportEntry
}

export interface KeyPlan {
  /** In the order in which they are to be written. */
  readonly versions: readonly PlannedVersion[]
  readonly incomplete: readonly Lost[]
  /** Probable, and not written: something certain is there, and nothing says that these are newer. */
  readonly leftOut: readonly Lost[]
  /** Uploads that are older than what is written. */
  readonly superseded: number
  /** Versions that the snapshot names, and whose shards were removed since. */
  readonly deleted: number
}

export interface KeyFacts {
  /** Undefined: the snapshot says nothing of the key. */
  readonly known: KnownKey | undefined
  readonly uploads: readonly CatalogedUpload[]
  readonly isSnapshotComplete: boolean
  /** All folders of the store are here, undamaged: a shard that is in none of them was removed. */
  readonly isAllHere: boolean
  /** Undefined: there is no snapshot. */
  readonly decidedBelow: UploadMark | undefined
  /** Undefined: unknown. */
  readonly versioning: Versioning | undefined
  /** The body of an upload, so many bytes long where that is known. */
  readonly bodyOf: (uploadId: UploadId, lengthBytes: number | undefined) => BodyMatch
}

export const withNote = (told: RescueReportEntry, note: string): RescueReportEntry => ({
  ...told,
  notes: [...told.notes, note],
})
