/**
 * The part of a feature in decisions on objects and buckets. Pure.
 *
 * A decision of the core asks the parts of all features at the points that are named here. A part reads rows through the
 * view of the decision, and may be asked again, as every decision.
 */
import type { Family } from "../../base/families.js"
import type { BucketId, ObjectKey, RowKey } from "../../base/ids.js"
import type { DeletedReason } from "../../format/deleted-version.js"
import type { EntryWrite } from "../../format/entry.js"
import type { BucketRecord, SettingName, Versioning } from "../../format/records.js"
import type { Usage } from "../../format/usage.js"
import type { VersionRecord } from "../../format/version-record.js"
import type { CommandView, DecisionTime, MetadataRow, RowView, Touches, UsageChange } from "../../metadata/index.js"
import type { VersionMatch } from "../commands/found-versions-core.js"

/** One object, as a decision changes it. */
export interface ChangedObject {
  readonly view: CommandView
  readonly time: DecisionTime
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The row key of the object. */
  readonly row: RowKey
  /** The store's clock; 0 if the command does not know it. */
  readonly clockMs: number
  readonly bucket: BucketRecord | undefined
  /** The change arrives as a copy of another store. */
  readonly isCopy: boolean
  put(family: Family, key: RowKey, value: Uint8Array | undefined, payload?: Uint8Array): void
}

/** A version that leaves the object, and the only one that references its bytes. */
export interface TakenVersion {
  readonly version: VersionMatch
  readonly row: MetadataRow
  readonly record: VersionRecord
  readonly reason: DeletedReason
}

/** The part of a feature in the change of one object. */
export interface ObjectPart {
  /** Returns true if the feature keeps the bytes of the version; otherwise they are released. */
  keeps?(taken: TakenVersion): boolean
  /** A version was removed; `latestOrder`: of the latest version until then. */
  removed?(version: VersionMatch, latestOrder: number): void
  /** A version has an order that is later than the commit timestamp, or has lost the one that it had. */
  reordered?(order: number): void
  /** Returns further writes, once all versions of the object are written. */
  changed?(writes: readonly EntryWrite[]): readonly EntryWrite[]
  /** Adds to the rows of the whole decision. */
  finish?(rows: DecisionRows): void
}

/** Rows that objects of one decision share. */
export interface DecisionRows {
  /** A row, with the changes that the decision has made here. */
  read(family: Family, key: RowKey): MetadataRow | undefined
  put(family: Family, key: RowKey, value: Uint8Array): void
  /** Adds to a count, which no quota limits. */
  count(key: RowKey, change: Usage): void
}

/** A feature that is a setting of buckets. */
interface SettingPart {
  readonly name: SettingName
  /** It counts from the moment on at which it is switched on, so a rescue does not bring it into a new store. */
  readonly beginsWhenSet?: true
  /** Settings that no bucket has beside it, with the reason. */
  readonly excludes?: readonly (readonly [other: SettingName, reason: string])[]
  /** Returns why the bucket cannot have the setting; undefined if it can. */
  refusal?(bucket: BucketRecord): string | undefined
  begins?(bucket: BucketRecord, commitUs: number): readonly EntryWrite[]
  /** Rows of the feature that are deleted with the setting, and with the bucket. */
  rowsOf?(bucket: BucketRecord): Touches
}

/** A bucket, as its record or a service has it. */
export type BucketFacts = { readonly [Field in keyof BucketRecord]?: BucketRecord[Field] | undefined }

/** The part of a feature in decisions on buckets. */
export interface BucketPart {
  readonly setting?: SettingPart
  /** How long after its removal a version is kept, milliseconds; undefined: its bytes are released at once. */
  keepsForMs?(bucket: BucketFacts): number | undefined
  /** Deleted objects of the bucket that the feature keeps; undefined if their count is lost. */
  keptIn?(view: RowView, bucket: BucketRecord): Pick<Usage, "objects" | "bytes"> | undefined
  /** Returns why a bucket without versions is not empty; undefined: nothing of the feature is in it. */
  remains?(view: RowView, bucket: BucketRecord): { readonly message: string; readonly objects: number } | undefined
  /** Returns why the bucket cannot change its versioning; undefined if it can. */
  refusesVersioning?(bucket: BucketRecord, versioning: Versioning): string | undefined
  /** Returns the record of a bucket whose versioning changes. */
  versioned?(bucket: BucketRecord): BucketRecord
  /** A row that a job of the feature may have written about a bucket, and that goes with it. */
  notedRow?(id: BucketId): readonly [Family, RowKey]
  /** Returns why an object may be newer than any upload of it that the rows do not know; undefined: for no such reason. */
  hidesNewer?(view: RowView, bucket: Pick<BucketRecord, "id" | "settings">): string | undefined
  /** Counts that are dropped with the bucket. */
  dropped?(bucket: BucketRecord): readonly UsageChange[]
}

/** A feature, as decisions know it. */
export interface DecidingFeature {
  readonly name: string
  /** Returns the part in the change of one object; undefined: none, as in a bucket without the feature. */
  readonly object?: (change: ChangedObject) => ObjectPart | undefined
  readonly bucket?: BucketPart
}
