/**
 * The storage classes of rows that reference extents: those of their versions. Pure.
 *
 * Versions of a key that share bytes are in one class when they are made. A rule may move one of them. Which versions
 * share bytes is told by all versions of the key only, which are read some at a time.
 */
import { parseBucketId, type MultipartId, type RowKey, type UploadId } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import {
  isVersionFamily,
  VERSION_FAMILIES,
  versionOfRow,
  type VersionFamily,
} from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeUpload } from "@hayloft/engine/format/records.js"
import {
  multipartRowKey,
  objectRowKey,
  objectRowKeyOf,
  parseObjectRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import type { Content } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import type { ExtentFamily } from "@hayloft/objects/door/bytes.js"
import { referencesTo } from "@hayloft/objects/door/rows.js"

/** The name by which versions share bytes. */
export type SharedName = UploadId | MultipartId

/** Bytes whose classes are those of the versions of a key that have them. */
export interface BytesOfVersions {
  readonly objectRow: RowKey
  readonly name: SharedName
  /** For bytes that other objects reference, the class of the first of those. */
  readonly referencedIn?: StorageClass | undefined
}

export type ClassOfRow = StorageClass | BytesOfVersions

const sharedNameOf = (content: Content): SharedName | undefined => {
  if (content.kind === "extent") return content.extent.uploadId
  return content.kind === "segments" ? content.multipartId : undefined
}

export function classesOfRows(
  view: RowView,
  family: ExtentFamily,
  rows: readonly { readonly rowKey: RowKey; readonly row: MetadataRow }[],
): readonly ClassOfRow[] {
  if (isVersionFamily(family)) {
    return rows.map(({ rowKey, row }) => {
      const { head, content } = versionOfRow(family, row.value)
      const { isShared, storageClass } = head
      const name = isShared ? sharedNameOf(content) : undefined
      return name === undefined ? storageClass : { objectRow: objectRowKeyOf(rowKey), name }
    })
  }
  return rows.map(({ rowKey }) => {
    const { bucketId, key, suffix } = parseObjectRowKey(rowKey)
    const [objectRow, name] = [objectRowKey(parseBucketId(bucketId), key), multipartIdOfSuffix(suffix)]
    const upload = view.get("uploads", multipartRowKey(objectRow, name))
    if (upload) return decodeUpload(upload.value).storageClass ?? "STANDARD"
    return { objectRow, name, referencedIn: referencesTo(view, multipartRowKey(objectRow, name))?.storageClass }
  })
}

/** The place of a reading of all versions of a key. */
export interface KeyReading {
  readonly family: VersionFamily
  readonly start: RowKey
}

export interface ReadClasses {
  readonly found: readonly (readonly [SharedName, StorageClass])[]
  /** It is undefined at the end. */
  readonly next: KeyReading | undefined
}

/** The class of each version that has bytes, of some of a key. */
export const classesOfVersions = query(
  "ClassesOfVersions",
  (view, objectRow: RowKey, from: KeyReading | undefined, rowsMax: number): ReadClasses => {
    const range = suffixRange(objectRow)
    const found: (readonly [SharedName, StorageClass])[] = []
    let rows = 0
    const first = from === undefined ? 0 : VERSION_FAMILIES.indexOf(from.family)
    for (const family of VERSION_FAMILIES.slice(first)) {
      const start = from?.family === family ? from.start : range.start
      for (const [rowKey, { value }] of view.range(family, { ...range, start, expectedRows: 0 })) {
        if (rows === rowsMax) return { found, next: { family, start: rowKey } }
        rows += 1
        const { head, content } = versionOfRow(family, value)
        const name = sharedNameOf(content)
        if (name !== undefined) found.push([name, head.storageClass])
      }
    }
    return { found, next: undefined }
  },
)
