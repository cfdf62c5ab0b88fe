/**
 * Commands of a reconciliation: rows for uploads that a rolled-back database does not know any more. They are run while
 * the store is halted, so that nothing removes the bytes meanwhile. Pure.
 *
 * Promises  Nothing newer is replaced: the decision compares the rows as they are, and replaces no segments. A command that is repeated changes
 *           nothing.
 */
import { firstOf } from "@hayloft/base/first-of.js"
import type { BucketId, ObjectKey, UploadId } from "@hayloft/base/ids.js"
import { parseBucketId, parseMultipartId } from "@hayloft/base/ids.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import {
  decodeBucketId,
  decodePart,
  encodeBucketId,
  encodePart,
  type BucketRecord,
  type PartRecord,
} from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import { decodeVersion, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  findUpload,
  type UploadAddress,
  clocksOf,
  bucketOfRow,
  requireBucket,
  findLatest,
  RowEditor,
  type NewVersion,
} from "@hayloft/objects/door/rows.js"
import { partKey, partsAfter, bucketParts, namingsOf } from "@hayloft/objects/door/bytes.js"
import { lockOfRestored } from "@hayloft/objects/index.js"
import { isLater, type KeyAfterRollback } from "./newer-core.js"

export type RestoreOutcome = "restored" | "present" | "newer"

interface RestoreVersion {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly extent: Extent
  /** Its lock is that of the recovery header. */
  readonly version: Omit<NewVersion, "isMarker" | "content">
  /** The store's clock, where locks, or features that keep what is deleted, are possible. */
  readonly clockMs?: number
}

type Content = VersionRecord["content"]

const presentContent = (view: RowView, bucketId: BucketId, key: ObjectKey): Content | undefined => {
  const latest = findLatest(view, objectRowKey(bucketId, key))
  return latest && decodeVersion(latest.row.value).content
}

const uploadOf = (content: Content | undefined): UploadId | undefined =>
  content?.kind === "extent" ? content.extent.uploadId : undefined

interface KeyOf {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly settings: BucketRecord["settings"]
}

/** Returns why the latest version of a key may be newer than any upload of it that the rows do not know. */
function doubtOf(view: RowView, { bucketId, key, settings }: KeyOf, present: Content | undefined): string | undefined {
  if (present?.kind === "segments") return "the present object consists of segments and may be newer"
  for (const part of bucketParts()) {
    const reason = part.hidesNewer?.(view, { id: bucketId, settings })
    if (reason !== undefined) return reason
  }
  const isUploading =
    firstOf(view.range("uploads", { ...suffixRange(objectRowKey(bucketId, key)), expectedRows: 1 })) !== undefined
  return isUploading ? "a multipart upload of its key may have been completed since" : undefined
}

const isNamed = (view: RowView, bucketId: BucketId, key: ObjectKey, uploadId: UploadId): boolean =>
  namingsOf(view, { bucketId, key, uploadId }).next().done !== true

/** The rows of a key that decide what is put back. */
export const keyFacts = query(
  "KeyFacts",
  (view, bucketId: BucketId, key: ObjectKey, multipartIds: readonly string[]): KeyAfterRollback => {
    const row = view.get("buckets", bucketRowKey(bucketId))
    const bucket = row && bucketOfRow(row)
    const multipart = multipartIds.flatMap(multipartId => {
      const address = { bucketId, key, multipartId: parseMultipartId(multipartId) }
      const upload = findUpload(view, address)
      if (upload === undefined) return []
      const parts = Array.from(partsAfter(view, address, 0), ({ partNumber, extent: { uploadId } }) => {
        return { partNumber, uploadId }
      })
      return [{ multipartId, isSealed: upload.completion !== undefined, parts }]
    })
    const versioning = bucket?.state === "open" ? bucket.versioning : undefined
    const present = presentContent(view, bucketId, key)
    const doubt = bucket && doubtOf(view, { bucketId, key, settings: bucket.settings }, present)
    return { versioning, present: uploadOf(present), doubt, multipart }
  },
)

/**
 * Adds a version that references an upload, as the latest one. Throws `noSuchBucket`, `bucketClosing`, and `objectLocked`
 * where it would replace a locked version.
 */
export const restoreVersion = command<[restore: RestoreVersion], RestoreOutcome>({
  name: "RestoreVersion",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, restore) {
    const { bucketId, key, extent, version } = restore
    const { versioning, lock: bucketLock } = requireBucket(view, bucketId)
    if (isNamed(view, bucketId, key, extent.uploadId)) return { writes: [], result: "present" }
    const content = presentContent(view, bucketId, key)
    const present = uploadOf(content)
    if (content?.kind === "segments" || (present !== undefined && isLater(present, extent.uploadId)))
      return { writes: [], result: "newer" }
    const editor = new RowEditor(view, time, bucketId, key, restore.clockMs)
    const lock = lockOfRestored(bucketLock, version.lock, clocksOf(restore, time))
    editor.restore()
    editor.insert({ ...version, isMarker: false, content: { kind: "extent", extent }, lock }, versioning)
    return { ...editor.finish(), result: "restored" }
  },
})

interface RestorePart extends UploadAddress {
  readonly part: Omit<PartRecord, "modifiedMs">
}

/** Stores a part whose bytes are there. Not found, or being completed: "newer". */
export const restorePart = command<[restore: RestorePart], RestoreOutcome>({
  name: "RestorePart",
  touches: restore => [["parts", partKey(restore, restore.part.partNumber)]],
  decide(view, time, restore) {
    const { bucketId, key, part } = restore
    const { uploadId } = part.extent
    const upload = findUpload(view, restore)
    if (upload === undefined || upload.completion !== undefined) return { writes: [], result: "newer" }
    const rowKey = partKey(restore, part.partNumber)
    const row = view.get("parts", rowKey)
    const before = row && decodePart(row.value)
    if (before?.extent.uploadId === uploadId) return { writes: [], result: "present" }
    if (before !== undefined && isLater(before.extent.uploadId, uploadId)) return { writes: [], result: "newer" }
    const editor = new RowEditor(view, time, bucketId, key)
    if (before !== undefined) editor.deleteLater({ kind: "extent", bucketId, key, extent: before.extent })
    editor.restore()
    editor.countParts(plainBytesOf(part.extent) - (before ? plainBytesOf(before.extent) : 0), upload.countedBy)
    editor.put("parts", rowKey, encodePart({ ...part, modifiedMs: time.nowMs }))
    return { ...editor.finish(), result: "restored" }
  },
})

const LAST_BUCKET_ID = bucketRowKey(parseBucketId(0))

/** Buckets that are made from now on have higher ids. */
export const raiseBucketIds = command<[above: number], void>({
  name: "RaiseBucketIds",
  touches: () => [["buckets", LAST_BUCKET_ID]],
  decide(view, _time, above) {
    const last = view.get("buckets", LAST_BUCKET_ID)
    if ((last ? decodeBucketId(last.value) : 0) >= above) return { writes: [], result: undefined }
    const value = encodeBucketId(parseBucketId(above))
    return { writes: [{ family: "buckets", key: LAST_BUCKET_ID, value }], result: undefined }
  },
})
