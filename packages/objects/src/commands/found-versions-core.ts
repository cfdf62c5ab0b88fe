/** Versions of an object as decisions and queries find them in its rows. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { parseUploadId, type BucketId, type ObjectKey, type RowKey, type VersionId } from "@hayloft/base/ids.js"
import type { VersionFamily } from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeRowHead, type PendingDeletionRecord, type RowHead } from "@hayloft/engine/format/records.js"
import { suffixRange, uploadRowKey, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { bytesOfVersionId, NULL_VERSION, partsOfVersionId } from "@hayloft/engine/format/objects/version-id.js"
import {
  decodeDetails,
  decodeVersionHead,
  NO_DETAILS,
  type Content,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"

/** A version in its row, also a deleted one that is kept. */
export interface FoundVersion {
  readonly head: VersionHead
  readonly family: VersionFamily
  readonly rowKey: RowKey
  readonly row: MetadataRow
}

/** One version as found in its row. */
export interface VersionMatch extends FoundVersion {
  readonly family: "current" | "versions"
  /** The order of the next version of the row, if that is known and not current. */
  readonly nextOrder?: number | undefined
}

export function readDetails(view: RowView, row: RowKey, record: VersionRecord): VersionDetails {
  if (record.details) return record.details
  if (!record.head.hasDetails) return NO_DETAILS
  const details = view.get("details", versionRowKey(row, record.head.order))
  if (!details) throw fail("corruptRecord", { what: "details" })
  return decodeDetails(details.value)
}

/** The row's latest version, an object or a marker; undefined where the row has none. */
export function findLatest(view: RowView, row: RowKey): VersionMatch | undefined {
  const current = view.get("current", row)
  if (current) return { head: decodeVersionHead(current.value), family: "current", rowKey: row, row: current }
  const head = view.get("heads", row)
  return head && findInVersions(view, row, decodeRowHead(head.value).latestOrder)
}

function findInVersions(view: RowView, row: RowKey, order: number): VersionMatch | undefined {
  const rowKey = versionRowKey(row, order)
  const found = view.get("versions", rowKey)
  return found && { head: decodeVersionHead(found.value), family: "versions", rowKey, row: found }
}

/** The version with this id, or undefined. Throws `invalidArgument` for a malformed id. */
export function findVersion(view: RowView, row: RowKey, versionId: VersionId): VersionMatch | undefined {
  const current = view.get("current", row)
  const head = current && decodeVersionHead(current.value)
  const isCurrent = (order: number) => head?.order === order
  const found = (): VersionMatch | undefined =>
    current && head && { head, family: "current", rowKey: row, row: current }
  if (versionId === NULL_VERSION) {
    if (head?.isNull) return found()
    const rowHead = view.get("heads", row)
    const nullOrder = rowHead ? decodeRowHead(rowHead.value).nullOrder : 0
    return nullOrder > 0 ? findInVersions(view, row, nullOrder) : undefined
  }
  const { order, random } = partsOfVersionId(versionId)
  const version = isCurrent(order) ? found() : findInVersions(view, row, order)
  return version && !version.head.isNull && hexOf(version.head.random) === hexOf(random) ? version : undefined
}

/** Bytes that no row references any more; undefined: the content has none. */
export function pendingDeletionOf(
  bucketId: BucketId,
  key: ObjectKey,
  content: Content,
): PendingDeletionRecord | undefined {
  if (content.kind === "extent") return { kind: "extent", bucketId, key, extent: content.extent }
  return content.kind === "segments" ? { kind: "segments", bucketId, key, multipartId: content.multipartId } : undefined
}

/** The head of a row that has no other version, or none. */
export function headOfSingle(current: VersionHead | undefined): RowHead {
  if (!current) return { lastOrder: 0, lastModifiedMs: 0, nullOrder: 0, versions: 0, latestOrder: 0 }
  return {
    lastOrder: current.order,
    lastModifiedMs: current.modifiedMs,
    nullOrder: current.isNull ? current.order : 0,
    versions: 1,
    latestOrder: current.order,
  }
}

/** The order of the next version of the row, among those that are not current. */
export function orderAfter(view: RowView, row: RowKey, order: number): number | undefined {
  const range = { start: suffixRange(row).start, end: versionRowKey(row, order), reverse: true, expectedRows: 1 }
  const next = firstOf(view.range("versions", range))
  return next && decodeVersionHead(next[1].value).order
}

/** The row that counts the versions with the same bytes; undefined if the bytes are not shared. */
export function shareRowKey(row: RowKey, content: Content): RowKey | undefined {
  if (content.kind === "extent") return uploadRowKey(row, content.extent.uploadId)
  if (content.kind !== "segments") return undefined
  return uploadRowKey(row, parseUploadId(hexOf(bytesOfVersionId(content.multipartId))))
}
