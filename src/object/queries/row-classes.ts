/**
 * The storage classes of rows that reference extents: those of their versions. Pure.
 *
 * Versions of a key that share bytes are in one class when they are made. Lifecycle may move one of them: then the bytes
 * have the policy of the class that is the furthest up, until all have moved.
 */
import { parseBucketId, type MultipartId, type RowKey, type UploadId } from "../../base/ids.js"
import type { StorageClass } from "../../base/storage-class.js"
import { isVersionFamily, VERSION_FAMILIES, versionOfRow } from "../../format/deleted-version.js"
import { decodeUpload } from "../../format/records.js"
import { multipartRowKey, objectRowKey, objectRowKeyOf, parseObjectRowKey, suffixRange } from "../../format/row-key.js"
import { multipartIdOfSuffix } from "../../format/version-id.js"
import type { Content } from "../../format/version-record.js"
import type { MetadataRow, RowView } from "../../metadata/index.js"
import type { ExtentFamily } from "./extent-rows.js"

/** From the top down. */
const DOWNWARDS: readonly StorageClass[] = [
  ...(["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING"] as const),
  ...(["ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] as const),
]

/** What versions share bytes by. */
const nameOf = (content: Content): UploadId | MultipartId | undefined => {
  if (content.kind === "extent") return content.extent.uploadId
  return content.kind === "segments" ? content.multipartId : undefined
}

type ClassesOfKey = ReadonlyMap<UploadId | MultipartId, StorageClass>

/** Undefined where nothing references the row any more, which only waits for its removal. */
export function classesOfRows(
  view: RowView,
  family: ExtentFamily,
  rows: readonly { readonly rowKey: RowKey; readonly row: MetadataRow }[],
): readonly (StorageClass | undefined)[] {
  // One pass over the versions of an object, not one for each of its rows.
  const known = new Map<RowKey, ClassesOfKey>()
  const ofKey = (row: RowKey): ClassesOfKey => {
    const classes = known.get(row) ?? classesOfKey(view, row)
    known.set(row, classes)
    return classes
  }
  if (isVersionFamily(family)) {
    return rows.map(({ rowKey, row }) => {
      const { head, content } = versionOfRow(family, row.value)
      const { isShared, storageClass } = head
      const name = isShared ? nameOf(content) : undefined
      return name === undefined ? storageClass : ofKey(objectRowKeyOf(rowKey)).get(name)
    })
  }
  return rows.map(({ rowKey }) => {
    const { bucketId, key, suffix } = parseObjectRowKey(rowKey)
    const [row, multipartId] = [objectRowKey(parseBucketId(bucketId), key), multipartIdOfSuffix(suffix)]
    const upload = view.get("uploads", multipartRowKey(row, multipartId))
    return upload ? decodeUpload(upload.value).storageClass : ofKey(row).get(multipartId)
  })
}

function classesOfKey(view: RowView, row: RowKey): ClassesOfKey {
  const classes = new Map<UploadId | MultipartId, StorageClass>()
  for (const family of VERSION_FAMILIES) {
    for (const [, { value }] of view.range(family, suffixRange(row))) {
      const { head, content } = versionOfRow(family, value)
      const name = nameOf(content)
      if (name === undefined) continue
      const other = classes.get(name) ?? head.storageClass
      const isAbove = DOWNWARDS.indexOf(head.storageClass) < DOWNWARDS.indexOf(other)
      classes.set(name, isAbove ? head.storageClass : other)
    }
  }
  return classes
}
