/** Rows that reference extents, and their families, for walks over all of them. Pure. */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodePart, decodeSegment } from "@hayloft/engine/format/records.js"
import { prefixRange } from "@hayloft/engine/format/row-key.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"

/**
 * In the order in which extents move between families: a walk in this order meets what moves meanwhile, but for what is
 * restored.
 */
export const EXTENT_FAMILIES = ["parts", "segments", "current", "versions", "deleted"] as const
export type ExtentFamily = (typeof EXTENT_FAMILIES)[number]

/** The rows of the objects of one bucket. */
export const rowsOfBucket = (bucketId: BucketId) => prefixRange(bucketId, "")

export const ALL_OBJECT_ROWS = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(16)) }

export function extentsOf(family: ExtentFamily, { value }: MetadataRow): readonly Extent[] {
  if (family === "parts") return [decodePart(value).extent]
  if (family === "segments") return decodeSegment(value).parts.map(part => part.extent)
  const { content } = versionOfRow(family, value)
  return content.kind === "extent" ? [content.extent] : []
}

/** Returns true if the row references the open end of an object that grows. */
export const isOpenEnd = (family: ExtentFamily, { value }: MetadataRow): boolean =>
  family === "segments" && decodeSegment(value).isOpen === true

/** Some rows from `start`; `next` is set if there are more. */
export function readExtentRows(view: RowView, family: ExtentFamily | "uploads", start: RowKey, max: number) {
  const rows: { readonly rowKey: RowKey; readonly row: MetadataRow }[] = []
  for (const [rowKey, row] of view.range(family, { ...ALL_OBJECT_ROWS, start, expectedRows: max + 1 })) {
    if (rows.length === max) return { rows, next: rowKey }
    rows.push({ rowKey, row })
  }
  return { rows, next: undefined }
}

export const extentRows = query("ExtentRows", readExtentRows)
