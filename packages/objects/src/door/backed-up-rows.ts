/**
 * The rows of a feature that come back from backups of the metadata: in a reconciliation into a database that was rolled
 * back, in a rescue into a new store.
 */
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import type { MetadataRecord } from "@hayloft/engine/format/metadata-backup.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"

/** The rows of a feature in one backup, in the order in which it has them. They are read each time. */
export type Backup = (signal: AbortSignal) => AsyncIterable<MetadataRecord>

export interface BackupsOfRows {
  /** The database that was rolled back; the store is halted. */
  readonly metadata: Pick<Metadata, "ask" | "run">
  /** The newest first. */
  readonly backups: readonly Backup[]
}

/** Rows of one place that differ from those of the database. */
export interface RowsEntry {
  /** `listed`: they cannot be put back. */
  readonly outcome: "putBack" | "listed"
  readonly bucketId: number
  readonly key: string
  /** How many differ. */
  readonly items: number
  readonly reason?: string
}

/** The rows that came back. */
interface RowsPutBack {
  /** Entries that could not be put back any more, and why. */
  readonly refused?: ReadonlyMap<RowsEntry, string>
  /** How many came back of what was not compared before. */
  readonly count?: number
}

/** A plan for the rows of a feature. */
export interface RowsToPutBack {
  readonly entries: readonly RowsEntry[]
  /** `check` is called before each change, and throws once the plan does not hold any more. */
  putBack(check: () => Promise<void>, signal: AbortSignal): Promise<RowsPutBack>
}

/** The store into which a rescue brings rows. */
interface NewStore {
  readonly metadata: Pick<Metadata, "ask" | "run">
  /** Resolves once the devices refuse releases that do not know the rows. */
  readonly prepare: () => Promise<void>
  readonly bucketIdOf: (name: BucketName) => BucketId
}

/** An entry of the report of a rescue. */
interface RescuedEntry {
  readonly kind: string
  readonly bucket?: string
  readonly key?: string
  /** It is lost; otherwise it was brought. */
  readonly isLost?: boolean
  readonly notes: readonly string[]
}

export interface RowsToRescue {
  readonly rows: AsyncIterable<MetadataRecord>
  /** It is undefined if nothing is written, and rows are only counted. */
  readonly into: NewStore | undefined
  /** Returns the name of a bucket in the new store; undefined if it has no such bucket and must not get it. */
  readonly bucketOf: (id: BucketId) => Promise<BucketName | undefined>
  /** Returns the account that now has what an account of the former store had. */
  readonly accountOf: (account: AccountId) => AccountId
  readonly tell: (entry: RescuedEntry) => Promise<void>
}

export interface BackedUpRows {
  /** The name of these rows in reports. */
  readonly what: string
  /** They are compared with those of the database; others are put back as the backups have them. */
  readonly isCompared?: true
  has(row: MetadataRecord): boolean
  /** Changes nothing. */
  reconcile(from: BackupsOfRows, signal: AbortSignal): Promise<RowsToPutBack>
  /** Returns how many there are, by names that no other feature has. */
  rescue(found: RowsToRescue): Promise<Readonly<Record<string, number>>>
}
