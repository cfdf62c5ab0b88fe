/**
 * Concatenation: objects that consist of bytes that others of the bucket have, by references (`withReferences`). Pure. See
 * decision 82.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { type BucketId, type MultipartId, type ObjectKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeSegment, encodeSegment, type SegmentRecord, type SegmentSource } from "@hayloft/engine/format/records.js"
import { multipartRowKey, objectRowKey, offsetRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Conditions } from "@hayloft/objects/contract.js"
import {
  checkOwnUpload,
  checkWrite,
  type Completion,
  endUpload,
  expiryClock,
  hintRowKey,
  lastSegment,
  type MissingShardHint,
  type NewVersion,
  referencesRowKey,
  requireBucket,
  requireUpload,
  RowEditor,
  sealedBy,
  type SegmentBytes,
  type SegmentsName,
  segmentsOf,
  type Stored,
  withReferences,
} from "@hayloft/objects/door/rows.js"
import { latestObject, requireAppendable, requireAppends } from "./append-commands-core.js"

export const CONCATENATION_LIMITS = {
  /** The limit is for one new object: a command may touch 1,024 rows, and each source has up to three. */
  sourcesMax: 250,
  /** Shorter objects are copied: a reference costs as much. */
  copyBytesMin: MIB,
  /** Segments that one query resolves. */
  segmentsPerRead: 256,
} as const

interface IntoSegments {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly order: number
  /** The id of the segments, unless the object has some. */
  readonly multipartId: MultipartId
  /** The content of an inline object, in blocks. */
  readonly moved: SegmentBytes | undefined
  readonly hints: readonly MissingShardHint[]
  readonly clockMs: number
}

/**
 * The object's bytes are in segments from now on, so that they can be referenced; clients see no change. Throws `conflict` if
 * the object is another one, or others of its key share its bytes, and as `append`.
 */
export const intoSegments = command<[into: IntoSegments], void>({
  name: "IntoSegments",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, into) {
    const { bucketId, key, order, multipartId, moved, hints, clockMs } = into
    requireAppends(requireBucket(view, bucketId))
    if (moved !== undefined) checkOwnUpload(time, moved.extent.uploadId)
    const found = latestObject(view, time, { bucketId, key, clockMs })
    const record = found && decodeVersion(found.row.value)
    if (found === undefined || record?.head.order !== order) throw fail("conflict")
    requireAppendable(record)
    if (record.content.kind === "segments") return { writes: [], result: undefined }
    if (record.head.sizeBytes === 0) throw fail("invalidRequest", { message: "an empty object has no segments" })
    const editor = new RowEditor(view, time, bucketId, key, clockMs)
    const asked = { moved: moved && { order, bytes: moved } }
    lastSegment(view, editor, time.nowMs, asked, record, multipartId)
    editor.setContent(found, segmentsOf(multipartId, { lastOffset: 0, uploadedParts: 0 }))
    editor.record(hints.map(hintRowKey))
    return { ...editor.finish(), result: undefined }
  },
})

interface Concatenate {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly conditions: Conditions
  /** The store's clock. */
  readonly clockMs: number
  /** With content of segments, which have these sources in order. */
  readonly version: Omit<NewVersion, "isMarker">
  readonly sources: readonly SegmentSource[]
  /** Objects that have the bytes now, perhaps by references of their own. */
  readonly through: readonly SegmentsName[]
  /** The upload that ends with it; it has the id of the segments. */
  readonly upload?: { readonly completion: Completion; readonly partsBytes: number | undefined }
}

/**
 * Makes an object of bytes that others have. Throws `conflict` if one of those does not have them any more, and as
 * `putVersion` and `completeUpload`.
 */
export const concatenate = command<[request: Concatenate], Stored>({
  name: "Concatenate",
  touches: ({ bucketId, key, through, sources }) => [
    ["current", objectRowKey(bucketId, key)],
    ...through.map(name => ["current", objectRowKey(bucketId, name.key)] as const),
    ...sources.map(source => ["references", referencesRowKey(bucketId, source)] as const),
  ],
  decide(view, time, request) {
    const { bucketId, key, version, sources, upload } = request
    const bucket = requireBucket(view, bucketId)
    requireAppends(bucket)
    checkWrite(view, request, expiryClock(time, request.clockMs))
    for (const name of request.through) requireSegments(view, bucketId, name)
    const { multipartId } = must(version.content.kind === "segments" ? version.content : undefined, "it has segments")
    const editor = new RowEditor(view, time, bucketId, key, request.clockMs)
    const head = editor.insert({ ...version, isMarker: false }, bucket.versioning)
    let offsetBytes = 0
    for (const source of sources) {
      const rowKey = offsetRowKey(editor.row, multipartId, offsetBytes)
      editor.put("segments", rowKey, encodeSegment({ offsetBytes, parts: [], source }))
      offsetBytes += source.lengthBytes
    }
    if (upload !== undefined) {
      const address = { bucketId, key, multipartId }
      const ended = requireUpload(view, address)
      if (!sealedBy(ended, upload.completion)) throw fail("conflict")
      endUpload(editor, address, "parts", { upload: ended, partsBytes: upload.partsBytes })
    }
    const references = withReferences(view, bucketId, sources, version.storageClass)
    const finished = editor.finish()
    return {
      ...finished,
      writes: [...finished.writes, ...references],
      result: { versioning: bucket.versioning, head },
    }
  },
})

/** Throws `conflict` if the current version has other bytes. */
function requireSegments(view: RowView, bucketId: BucketId, { key, multipartId }: SegmentsName): void {
  const row = view.get("current", objectRowKey(bucketId, key))
  const record = row && decodeVersion(row.value)
  const isSame = record?.content.kind === "segments" && record.content.multipartId === multipartId
  if (!isSame || record.sealing !== undefined) throw fail("conflict")
}

/** The segments of an object that are found by their offset, from the one with an offset on, in order; `next`: the offset of the first that is left out. */
export const segmentsFrom = query(
  "SegmentsFrom",
  (view, bucketId: BucketId, { key, multipartId }: SegmentsName, fromBytes: number) => {
    const row = objectRowKey(bucketId, key)
    const { end } = suffixRange(multipartRowKey(row, multipartId))
    const segments: SegmentRecord[] = []
    // Their keys descend with their offsets, and come after those of an upload.
    const start = offsetRowKey(row, multipartId, Number.MAX_SAFE_INTEGER)
    const last = offsetRowKey(row, multipartId, fromBytes)
    const range = { start, end: rowKeyAfter(last) < end ? rowKeyAfter(last) : end, reverse: true }
    for (const [, { value }] of view.range("segments", range)) {
      const segment = decodeSegment(value)
      if (segments.length === CONCATENATION_LIMITS.segmentsPerRead) return { segments, next: segment.offsetBytes }
      segments.push(segment)
    }
    return { segments, next: undefined }
  },
)
