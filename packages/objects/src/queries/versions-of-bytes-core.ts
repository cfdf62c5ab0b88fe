/**
 * The versions of a key that have certain bytes: those of an upload, or the segments with an id. Pure.
 *
 * Keys may have a hundred thousand versions. A version is looked for where it most likely is, and if it shares its bytes
 * with no other one, no further rows are read. Otherwise rows that do not contain the id byte for byte are skipped without
 * decoding.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { rowKeyAfter, type MultipartId, type RowKey, type UploadId } from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { bufferOf } from "@hayloft/engine/format/encoding/buffer-of.js"
import {
  isVersionFamily,
  VERSION_FAMILIES,
  versionOfRow,
  type VersionFamily,
} from "@hayloft/engine/format/objects/deleted-version.js"
import { suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { orderOfMultipartId } from "@hayloft/engine/format/objects/version-id.js"
import type { Content, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import type { FoundVersion } from "../commands/found-versions-core.js"

/** A version with its record. */
export interface VersionOfBytes extends FoundVersion {
  readonly record: VersionRecord
}

/** A row in which a walk has found bytes. */
export interface RowPlace {
  readonly family: Family
  readonly rowKey: RowKey
}

interface SegmentsId {
  readonly multipartId: MultipartId
}

type BytesId = UploadId | SegmentsId

/** Returns a test that is true for each row with the id somewhere in its value. */
export const holding = (id: BytesId): ((row: MetadataRow) => boolean) => {
  const bytes =
    typeof id === "string"
      ? bufferOf(must(bytesOfHex(id), "upload ids are hex"))
      : Buffer.from(id.multipartId, "latin1")
  return ({ value }) => bufferOf(value).includes(bytes)
}

function hasBytes(content: Content, id: BytesId): boolean {
  if (typeof id === "string") return content.kind === "extent" && content.extent.uploadId === id
  return content.kind === "segments" && content.multipartId === id.multipartId
}

function* versionsIn(view: RowView, family: VersionFamily, range: KeyRange, id: BytesId): Generator<VersionOfBytes> {
  const holdsId = holding(id)
  for (const [rowKey, row] of view.range(family, { ...range, presentOnly: true })) {
    if (!holdsId(row)) continue
    const record = versionOfRow(family, row.value)
    if (hasBytes(record.content, id)) yield { head: record.head, family, rowKey, row, record }
  }
}

/**
 * All versions with these bytes, also deleted ones that are kept. A decision may rely on their number although the ranges
 * are not guarded: once there is one, another can only be made by a copy, which also writes the row that it copies, or by a
 * completion, which also writes the upload's row. `foundIn`: a version that had them.
 */
export function* versionsOfBytes(
  view: RowView,
  row: RowKey,
  id: BytesId,
  foundIn?: RowPlace,
): Generator<VersionOfBytes> {
  const likely = typeof id === "string" ? foundIn && versionIn(view, foundIn, id) : likelyVersion(view, row, id)
  if (likely?.head.isShared === false) yield likely
  else yield* searched(view, row, id)
}

function* searched(view: RowView, row: RowKey, id: BytesId): Generator<VersionOfBytes> {
  for (const family of VERSION_FAMILIES) yield* versionsIn(view, family, suffixRange(row), id)
}

function versionIn(view: RowView, { family, rowKey }: RowPlace, id: BytesId): VersionOfBytes | undefined {
  if (!isVersionFamily(family)) return undefined
  return firstOf(versionsIn(view, family, { start: rowKey, end: rowKeyAfter(rowKey), expectedRows: 1 }, id))
}

/** A version, also a deleted one that is kept, that has these segments. */
export function versionOfSegments(view: RowView, row: RowKey, multipartId: MultipartId): VersionOfBytes | undefined {
  const id = { multipartId }
  return likelyVersion(view, row, id) ?? firstOf(searched(view, row, id))
}

/**
 * Segments that a job gives to a version have its order, in microseconds, in their id; those that a client writes have the
 * time when it began, and their version comes later.
 */
const SOON_US = 3_600_000_000

function likelyVersion(view: RowView, row: RowKey, id: SegmentsId): VersionOfBytes | undefined {
  const order = Math.max(1, orderOfMultipartId(id.multipartId))
  const range = { start: versionRowKey(row, order + SOON_US), end: versionRowKey(row, order - 1) }
  const soon = { ...range, reverse: true, expectedRows: 1 }
  return firstOf(versionsIn(view, "current", suffixRange(row), id)) ?? firstOf(versionsIn(view, "versions", soon, id))
}
