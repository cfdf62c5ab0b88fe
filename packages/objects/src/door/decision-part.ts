/**
 * The part of a feature in decisions on objects and buckets. Pure.
 *
 * A decision of the core asks the parts of all features at the points that are named here. A part reads rows through the
 * view of the decision, and may be asked again, as every decision.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { AccountId, BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import type { DeletedReason } from "@hayloft/engine/format/objects/deleted-version.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { BucketRecord, BucketSettingName, Versioning } from "@hayloft/engine/format/records.js"
import type { Usage } from "@hayloft/engine/format/objects/usage.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { ClassMap } from "../class-policies.js"
import type {
  CommandView,
  DecisionTime,
  MetadataRow,
  RowView,
  Touches,
  UsageChange,
} from "@hayloft/engine/metadata/index.js"
import type { VersionMatch } from "../commands/found-versions-core.js"
import type { Conditions } from "../contract.js"

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
export interface ObjectChangePart {
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
  /** Adds to a count that has no limit. */
  count(key: RowKey, change: Usage): void
}

/** Bytes of parts that a decision adds, less those that it removes, and the runs of the counts that include them. */
export interface PartsGrowth {
  readonly bytes: number
  readonly countedBy: readonly string[] | undefined
}

/** The change that a decision makes to what a bucket holds, by one object or upload. */
export interface Growth {
  readonly bucket: BucketRecord
  readonly bytes: number
  readonly versions: number
  /** It adds a version that is not a delete marker. */
  readonly addsObject: boolean
  readonly parts: PartsGrowth
  /** Nothing is refused: the bytes were accepted before. */
  readonly isRestoring: boolean
}

/** The part of a feature that counts what buckets hold, and may refuse that they hold more. */
export interface UsagePart {
  /** Returns true if the feature counts what the bucket holds: it is told of the growth of no other bucket. */
  counts(bucket: BucketRecord): boolean
  /** Returns the runs of the counts that will include the parts of an upload which begins now. */
  runsOf(view: RowView, bucket: BucketRecord): readonly string[]
  /** Returns the changes of counts, each once, that all growths of a decision add up to. Throws to refuse that sum. */
  changes(view: RowView, growths: readonly Growth[]): readonly UsageChange[]
}

/** A feature that is a setting of buckets. */
interface SettingPart {
  readonly name: BucketSettingName
  /** It counts from the moment on at which it is switched on, so a rescue does not bring it into a new store. */
  readonly beginsWhenSet?: true
  /** The most bytes of its document; undefined: as many as those of other settings. */
  readonly bytesMax?: number
  /** Objects are removed by it, so it can be set on a full store. */
  readonly freesSpace?: true
  /** Settings that no bucket has beside it, with the reason. */
  readonly excludes?: readonly (readonly [other: BucketSettingName, reason: string])[]
  /** Returns why the bucket cannot have the setting; undefined if it can. */
  refusal?(bucket: BucketRecord): string | undefined
  begins?(bucket: BucketRecord, commitUs: number): readonly EntryWrite[]
  /** Rows of the feature that are deleted with the setting, and with the bucket. */
  rowsOf?(bucket: BucketRecord): Touches
}

/** A bucket, as its record or a service has it. */
export type BucketFacts = { readonly [Field in keyof BucketRecord]?: BucketRecord[Field] | undefined }

/** Rows of a feature that are in buckets beside their objects. Their keys begin with the bucket's id. */
export interface BucketContents {
  /** The name of these rows in messages. */
  readonly what: string
  /** They are removed once the bucket is gone. */
  readonly families: readonly Family[]
  /** The one of the families whose rows tell what is there. */
  readonly counted: Family
  readonly held: (row: MetadataRow) => HeldContents
  /** Returns why a bucket with so many values, which no key of its own encrypts, is not erased. */
  readonly eraseRefusal: (values: number) => string
  /** Families of which a backup has all rows with one stem in one slice, in the order of their keys. */
  readonly together: { readonly families: readonly Family[]; readonly stemOf: (key: RowKey) => RowKey }
}

interface HeldContents {
  /** A bucket with entries is not empty. */
  readonly entries: number
  readonly values: number
  readonly bytes: number
}

/** The part of a feature in decisions on buckets. */
export interface BucketPart {
  readonly setting?: SettingPart
  readonly contents?: BucketContents
  /** Returns what the record of a new bucket of the account has. */
  created?(view: RowView, owner: AccountId): Partial<BucketRecord>
  /** How long after its removal a version is kept, milliseconds; undefined: its bytes are released at once. */
  keepsForMs?(bucket: BucketFacts): number | undefined
  /** Deleted objects of the bucket that the feature keeps; undefined if their count is lost. */
  keptIn?(view: RowView, bucket: BucketRecord): Pick<Usage, "objects" | "bytes"> | undefined
  /** Returns why a bucket without versions is not empty; undefined: nothing of the feature is in it. */
  remains?(view: RowView, bucket: BucketRecord): { readonly message: string; readonly objects: number } | undefined
  /** Returns why the bucket cannot change its versioning; undefined if it can. */
  refusesVersioning?(bucket: BucketRecord, versioning: Versioning): string | undefined
  /** Returns why the bucket takes no encrypted objects; undefined if it does. */
  refusesEncryption?(bucket: BucketFacts): string | undefined
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
  readonly object?: (change: ChangedObject) => ObjectChangePart | undefined
  readonly bucket?: BucketPart
  readonly usage?: UsagePart
  /**
   * Families of rows about the segments of an object, without bytes. Their keys begin with the key of the segments, and they are
   * removed with those.
   */
  readonly ofSegments?: readonly Family[]
  /** Checks a condition of writes that is the feature's, in the decision of each write. Throws `preconditionFailed`. */
  readonly checkWrite?: (view: Pick<RowView, "get">, conditions: Conditions) => void
  /**
   * Checks that the body of a version may be read now, where the operator has this map of classes. Throws `invalidObjectState`.
   * `nowMs`: the earlier clock.
   */
  readonly checkRead?: (
    record: Pick<VersionRecord, "head" | "restore">,
    nowMs: () => number,
    classes: Pick<ClassMap, "policyOf">,
  ) => void
}
