/** How much undelete keeps, by bucket. Pure. */
import { rowKeyOf, type BucketName } from "@hayloft/base/ids.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { decodeUsage, deletedUsageRowKey, type Usage } from "@hayloft/engine/format/objects/usage.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import { allBuckets } from "@hayloft/objects/door/rows.js"

/** The report of what is kept of a bucket. */
export interface KeptReport {
  readonly bucket: BucketName
  /** The number of days is undefined if nothing more is kept. */
  readonly days: number | undefined
  /** It is undefined if the count is lost. */
  readonly kept: Pick<Usage, "objects" | "bytes"> | undefined
}

const NOTHING_KEPT = { objects: 0, bytes: 0 } as const

type UsageRow = MetadataRow | undefined

const amountOf = (row: UsageRow): KeptReport["kept"] => {
  if (row === undefined) return undefined
  const { objects, bytes } = decodeUsage(row.value)
  return { objects, bytes }
}

/** Returns what is kept of one bucket; nothing if undelete was never on. */
export const keptIn = (view: RowView, { id, countsDeleted }: BucketRecord): KeptReport["kept"] =>
  countsDeleted === true ? amountOf(view.get("usage", deletedUsageRowKey(id))) : NOTHING_KEPT

const ALL_KEPT = { start: rowKeyOf("d"), end: rowKeyOf("e") }

/**
 * Buckets in which undelete is on, or that still keep something. Two ranges, however many they are: each is a round trip
 * on an engine over SQL.
 */
export const keptOfBuckets = query("KeptOfBuckets", (view): readonly KeptReport[] => {
  const buckets = allBuckets(view)
  const keeping = buckets.filter(({ countsDeleted, state }) => countsDeleted === true && state !== "erasing")
  if (keeping.length === 0) return []
  const rows = new Map(view.range("usage", ALL_KEPT))
  return keeping
    .map(({ id, name: bucket, undeleteDays: days }) => ({
      bucket,
      days,
      kept: amountOf(rows.get(deletedUsageRowKey(id))),
    }))
    .filter(({ days, kept }) => days !== undefined || kept?.objects !== 0)
})
