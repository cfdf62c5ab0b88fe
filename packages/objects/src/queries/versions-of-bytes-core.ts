/**
 * The versions of a key that have certain bytes: those of an upload, or the segments with an id. Pure.
 *
 * Keys may have a hundred thousand versions. Rows that do not contain the id byte for byte are skipped without decoding, and
 * the version of segments is looked for where it most likely is.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { MultipartId, RowKey, UploadId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { bufferOf } from "@hayloft/engine/format/encoding/buffer-of.js"
import { VERSION_FAMILIES, versionOfRow, type VersionFamily } from "@hayloft/engine/format/objects/deleted-version.js"
import { suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { orderOfMultipartId } from "@hayloft/engine/format/objects/version-id.js"
import type { Content, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import type { FoundVersion } from "../commands/found-versions-core.js"

/** A version with its record. */
export interface VersionOfBytes extends FoundVersion {
  readonly record: VersionRecord
}

type BytesId = UploadId | { readonly multipartId: MultipartId }

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
 * completion, which also writes the upload's row.
 */
export function* versionsOfBytes(view: RowView, row: RowKey, id: BytesId): Generator<VersionOfBytes> {
  for (const family of VERSION_FAMILIES) yield* versionsIn(view, family, suffixRange(row), id)
}

/**
 * Segments that a job gives to a version have its order, in microseconds, in their id; those that a client writes have the
 * time when it began.
 */
const SOON_US = [0, 1_000_000, 3_600_000_000] as const

/** A version, also a deleted one that is kept, that has these segments. */
export function versionOfSegments(view: RowView, row: RowKey, multipartId: MultipartId): VersionOfBytes | undefined {
  const id = { multipartId }
  const find = (family: "current" | "versions", range: KeyRange) => firstOf(versionsIn(view, family, range, id))
  const current = find("current", suffixRange(row))
  if (current !== undefined) return current
  const order = Math.max(1, orderOfMultipartId(multipartId))
  let newer = order - 1
  for (const soonUs of SOON_US) {
    const found = find("versions", { start: versionRowKey(row, order + soonUs), end: versionRowKey(row, newer) })
    if (found !== undefined) return found
    newer = order + soonUs
  }
  return firstOf(versionsOfBytes(view, row, id))
}
