/** The storage classes of rows that reference extents: those of their versions. Pure. */
import { parseBucketId, type MultipartId, type RowKey } from "../../base/ids.js"
import type { StorageClass } from "../../base/storage-class.js"
import { decodeUpload } from "../../format/records.js"
import { multipartRowKey, objectRowKey, parseObjectRowKey, suffixRange } from "../../format/row-key.js"
import { multipartIdOfSuffix } from "../../format/version-id.js"
import { decodeVersion, decodeVersionHead } from "../../format/version-record.js"
import type { MetadataRow, RowView } from "../../metadata/index.js"
import type { ExtentFamily } from "./extent-rows.js"

/** Undefined where nothing references the row any more, which only waits for its removal. */
export function classesOfRows(
  view: RowView,
  family: ExtentFamily,
  rows: readonly { readonly rowKey: RowKey; readonly row: MetadataRow }[],
): readonly (StorageClass | undefined)[] {
  if (family === "current" || family === "versions")
    return rows.map(({ row }) => decodeVersionHead(row.value).storageClass)
  // One pass over the versions of an object, not one for each of its segments.
  const known = new Map<RowKey, ReadonlyMap<MultipartId, StorageClass>>()
  return rows.map(({ rowKey }) => {
    const { bucketId, key, suffix } = parseObjectRowKey(rowKey)
    const [row, multipartId] = [objectRowKey(parseBucketId(bucketId), key), multipartIdOfSuffix(suffix)]
    const upload = view.get("uploads", multipartRowKey(row, multipartId))
    if (upload) return decodeUpload(upload.value).storageClass
    const ofVersions = known.get(row) ?? classesOfMultiparts(view, row)
    known.set(row, ofVersions)
    return ofVersions.get(multipartId)
  })
}

function classesOfMultiparts(view: RowView, row: RowKey): ReadonlyMap<MultipartId, StorageClass> {
  const classes = new Map<MultipartId, StorageClass>()
  for (const family of ["current", "versions"] as const) {
    for (const [, { value }] of view.range(family, suffixRange(row))) {
      const { head, content } = decodeVersion(value)
      if (content.kind === "segments") classes.set(content.multipartId, head.storageClass)
    }
  }
  return classes
}
