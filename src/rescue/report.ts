/** The report of a rescue: an entry for everything it found, in one of three lists, and sums. */
import type { FeatureName } from "../features/index.js"
import type { RestoredQueues } from "../features/queues/index.js"
import type { RescueReportEntry } from "./plan.js"

/**
 * `certain`: in a complete snapshot, every byte verified. `probable`: weaker evidence; it may never have been
 * committed, or may have been deleted. `incomplete`: found, but not recoverable.
 */
export type RescueList = "certain" | "probable" | "incomplete"

export interface RescueEntry extends Partial<RescueReportEntry> {
  readonly list: RescueList
  readonly kind:
    | ("account" | "accessKey" | "key" | "class" | "bucket" | "quota")
    | FeatureName
    | ("object" | "deleteMarker" | "items" | "queues" | "files")
  /**
   * The name of an account, an access key, a named key, a storage class or a bucket; for a quota or the feature of a
   * bucket, whose it is.
   */
  readonly name?: string
  readonly bucket?: string
  /** For K2V items, the key is their partition. */
  readonly key?: string
  readonly sizeBytes?: number
  readonly isWritten: boolean
  readonly notes: readonly string[]
}

export interface ListSums {
  objects: number
  bytes: number
}

export interface RescueSummary {
  readonly certain: Readonly<ListSums>
  readonly probable: Readonly<ListSums>
  readonly incomplete: Readonly<ListSums>
  /** K2V items, deleted ones too; and values of items that are lost. */
  readonly items: { readonly count: number; readonly lostValues: number }
  /** Queues, and messages that may be delivered again. */
  readonly queues: RestoredQueues
  /** Small files. */
  readonly files: number
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
