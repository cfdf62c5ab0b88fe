/** The report of a rescue: an entry for everything it found, in one of three lists, and sums. */
import type { RescuedSums } from "@hayloft/features/index.js"
import type { RescueReportEntry } from "./plan.js"

/**
 * `certain`: in a complete snapshot, every byte verified. `probable`: weaker evidence; it may never have been
 * committed, or may have been deleted. `incomplete`: found, but not recoverable.
 */
export type RescueList = "certain" | "probable" | "incomplete"

export interface RescueEntry extends Partial<RescueReportEntry> {
  readonly list: RescueList
  /**
   * "account", "accessKey", "key" for a named key, "class", "bucket", "object", "deleteMarker"; the name of a
   * feature that a bucket or an account had, or what a feature calls its rows.
   */
  readonly kind: string
  /**
   * The name of an account, an access key, a named key, a storage class or a bucket; for a feature, whose it is.
   */
  readonly name?: string
  readonly bucket?: string
  /** For rows of a feature, the place that they have in the bucket. */
  readonly key?: string
  readonly sizeBytes?: number
  readonly isWritten: boolean
  readonly notes: readonly string[]
}

export interface ListSums {
  objects: number
  bytes: number
}

export interface RescueSummary extends RescuedSums {
  readonly certain: Readonly<ListSums>
  readonly probable: Readonly<ListSums>
  readonly incomplete: Readonly<ListSums>
  /** Versions of the snapshot whose shards were removed since: they were deleted or overwritten. */
  readonly deletedSince: number
  /** Uploads that newer uploads of their keys have replaced. */
  readonly superseded: number
  readonly snapshot:
    | {
        readonly startedAt: string
        readonly isComplete: boolean
        readonly chunks: number
        readonly records: number
      }
    | undefined
  readonly needles: number
  /** Stretches of volumes that cannot be decoded. */
  readonly damages: number
  readonly passes: number
  /** Buckets with object lock that were found; absent: none. */
  readonly lockedBuckets?: readonly string[]
  readonly isDryRun: boolean
  readonly notes: readonly string[]
}
