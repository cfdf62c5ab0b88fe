/**
 * Appends: bytes that are added to the end of an object, in one order for all clients. Pure.
 *
 * The object's bytes are in segments from its first append on. An object that was one extent keeps it as its first part;
 * one that was uploaded in parts keeps the segments of its upload. Appended segments are found by their offsets. The last
 * one takes more parts until it is full; small parts are copies (`SegmentRecord.isOpen`), which a job seals into
 * erasure-coded blocks later.
 */
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import { MANIFEST_SEGMENT_PARTS, OBJECT_BYTES_MAX, PARTS_MAX } from "@hayloft/base/limits.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import {
  decodeAppend,
  encodeAppend,
  encodeHint,
  encodeSegment,
  type BucketRecord,
  type SegmentRecord,
} from "@hayloft/engine/format/records.js"
import { appendRowKey, multipartRowKey, objectRowKey, offsetRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  base64Of,
  checkOwnUpload,
  checkWrite,
  combineCrcs,
  expiryClock,
  findLatest,
  hintRowKey,
  isCrc,
  isExpired,
  lastSegment,
  type MissingShardHint,
  type MovedBytes,
  type NewVersion,
  NO_CHECKSUM,
  openIf,
  putSegment,
  referencesTo,
  requireBucket,
  RowEditor,
  type SegmentBytes,
  segmentPart,
  segmentsOf,
  type Stored,
  type VersionMatch,
} from "@hayloft/objects/door/rows.js"
import type { Conditions } from "@hayloft/objects/contract.js"

const APPEND_LIMITS = {
  /** Parts of an open segment: each append rewrites the last segment. */
  openParts: 32,
  /** The maximum length of an object: the same as for an object that is uploaded in parts. */
  objectBytesMax: PARTS_MAX * OBJECT_BYTES_MAX,
  /** A client may repeat an append for so long. */
  repeatableMs: 24 * 3_600_000,
} as const

/** An ETag that is no MD5 ends in a number of parts. */
const PARTS_SHOWN = 1

interface Append {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** The place where the client expects the end of the object; undefined: wherever it is. */
  readonly atOffset: number | undefined
  /** The hash of the client's id for the append: 16 bytes. */
  readonly idHash: Uint8Array | undefined
  readonly conditions: Conditions
  readonly bytes: SegmentBytes
  readonly algorithm: ChecksumAlgorithm | undefined
  /** The hints of both the appended and the moved bytes. */
  readonly hints: readonly MissingShardHint[]
  /** The content of an inline object, in blocks. */
  readonly moved: MovedBytes | undefined
  /** The details of a new object. */
  readonly details: VersionDetails
  readonly storageClass: StorageClass
  readonly random: Uint8Array
  /** The id of the segments, if there are none yet. */
  readonly multipartId: MultipartId
  /** The MD5 of the new ETag: 16 bytes. */
  readonly md5: Uint8Array
  readonly clockMs?: number
}

export interface AppendResult extends Stored {
  /** The place where the appended bytes begin. */
  readonly offsetBytes: number
  readonly checksumValue: string | undefined
  /** The append was done before, by an earlier request with its id: nothing has changed. */
  readonly isRepeated: boolean
}

/** The facts that an append needs before its body is read. */
export interface Appendable {
  /** The append was done before, here. */
  readonly repeated: { readonly offsetBytes: number; readonly head: VersionHead } | undefined
  /** The record is undefined if there is no object. */
  readonly record: VersionRecord | undefined
}

/** Returns true if objects of the bucket can grow, and consist of the bytes of others. */
export const allowsAppends = ({ settings, versioning }: Pick<BucketRecord, "settings" | "versioning">): boolean =>
  settings.includes("append") && versioning === "never"

/** Throws `notImplemented`, `invalidRequest` if `allowsAppends` is false. */
export function requireAppends({ settings, versioning }: Pick<BucketRecord, "settings" | "versioning">): void {
  const isVersioned = versioning !== "never"
  const message = isVersioned
    ? "objects of a bucket with versioning cannot be appended to: use another bucket"
    : "the bucket does not allow appends: `hayloft bucket settings set BUCKET append {}` does"
  if (!settings.includes("append")) throw fail("notImplemented", { message })
  if (isVersioned) throw fail("invalidRequest", { message })
}

type AppendTarget = Pick<Append, "bucketId" | "key" | "idHash" | "atOffset" | "conditions" | "clockMs">

export function latestObject(
  view: RowView,
  time: Pick<DecisionTime, "nowMs">,
  { bucketId, key, clockMs }: Pick<AppendTarget, "bucketId" | "key" | "clockMs">,
) {
  const found = findLatest(view, objectRowKey(bucketId, key))
  return found && !found.head.isMarker && !isExpired(found, expiryClock(time, clockMs)) ? found : undefined
}

function repeatedOf(
  view: CommandView | RowView,
  { bucketId, key, idHash }: AppendTarget,
  { head, content }: VersionRecord,
): Appendable["repeated"] {
  if (idHash === undefined || content.kind !== "segments" || content.byOffset === undefined) return undefined
  const row = view.get("appends", appendRowKey(objectRowKey(bucketId, key), content.multipartId, idHash))
  return row && { offsetBytes: decodeAppend(row.value).offsetBytes, head }
}

/** Throws as `append`. */
export const appendable = query("Appendable", (view, target: AppendTarget, nowMs: number): Appendable => {
  requireAppends(requireBucket(view, target.bucketId))
  const found = latestObject(view, { nowMs }, target)
  const record = found && decodeVersion(found.row.value)
  const repeated = record && repeatedOf(view, target, record)
  if (repeated === undefined) checkAppend(view, target, record, nowMs)
  return { repeated, record }
})

function checkAppend(view: RowView, target: AppendTarget, record: VersionRecord | undefined, nowMs: number): void {
  checkWrite(view, target, nowMs)
  const sizeBytes = record?.head.sizeBytes ?? 0
  const { atOffset } = target
  if (record === undefined && atOffset !== undefined && atOffset > 0) throw fail("noSuchKey")
  if (atOffset !== undefined && atOffset !== sizeBytes) throw fail("invalidWriteOffset", { sizeBytes })
  if (record !== undefined) requireAppendable(record)
}

/** Throws `notImplemented`, `invalidRequest`, `invalidObjectState`. */
export function requireAppendable({ head, lock, sealing, largeObject }: VersionRecord): void {
  const { storageClass } = head
  if (lock !== undefined) throw fail("invalidRequest", { message: "the object has a lock" })
  if (sealing !== undefined)
    throw fail("notImplemented", { message: "appending to an encrypted object is not implemented" })
  if (largeObject !== undefined)
    throw fail("invalidRequest", { message: "the object is a list of segments: append to the last segment" })
  if (storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE") throw fail("invalidObjectState", { storageClass })
}

/**
 * Throws `invalidWriteOffset` if the object does not end where the client expects, `conflict` if an inline object has changed
 * since its bytes were moved or others share them, `entityTooLarge`, what features refuse, and as `appendable`.
 */
export const append = command<[append: Append], AppendResult>({
  name: "Append",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, request) {
    const bucket = requireBucket(view, request.bucketId)
    requireAppends(bucket)
    checkOwnUpload(time, request.bytes.extent.uploadId)
    if (request.moved !== undefined) checkOwnUpload(time, request.moved.bytes.extent.uploadId)
    const found = latestObject(view, time, request)
    const record = found && decodeVersion(found.row.value)
    const repeated = record && repeatedOf(view, request, record)
    if (record && repeated !== undefined) {
      const { checksumValue } = record
      const result = { versioning: bucket.versioning, ...repeated, checksumValue, isRepeated: true }
      return { writes: [], result }
    }
    checkAppend(view, request, record, expiryClock(time, request.clockMs))
    const editor = new RowEditor(view, time, request.bucketId, request.key, request.clockMs)
    const made =
      found && record ? extended(view, editor, time, request, { found, record }) : begun(editor, time, request)
    editor.record(request.hints.map(hintRowKey))
    const { head, offsetBytes, checksumValue, multipartId } = made
    if (request.idHash !== undefined) {
      const rowKey = appendRowKey(editor.row, multipartId, request.idHash)
      view.get("appends", rowKey)
      const { lengthBytes } = request.bytes
      editor.put("appends", rowKey, encodeAppend({ offsetBytes, lengthBytes, appendedMs: time.nowMs }))
    }
    const result = { versioning: bucket.versioning, head, offsetBytes, checksumValue, isRepeated: false }
    return { ...editor.finish(), result }
  },
})

interface Made {
  readonly head: VersionHead
  readonly offsetBytes: number
  readonly checksumValue: string | undefined
  readonly multipartId: MultipartId
}

/** A new object. */
function begun(editor: RowEditor, { nowMs }: DecisionTime, request: Append): Made {
  const { bytes, algorithm, multipartId, details, storageClass, random, md5 } = request
  const checksum = fullChecksum(algorithm, bytes.checksumValue)
  const version: NewVersion = {
    isMarker: false,
    payload: undefined,
    sizeBytes: bytes.lengthBytes,
    md5,
    parts: PARTS_SHOWN,
    random,
    checksum,
    details,
    storageClass,
    isShared: false,
    content: segmentsOf(multipartId, { lastOffset: 0, uploadedParts: 0 }),
  }
  putSegment(editor, multipartId, { offsetBytes: 0, parts: [segmentPart(bytes.extent, nowMs)], ...openIf(bytes) })
  const head = editor.insert(version, "never")
  return { head, offsetBytes: 0, checksumValue: checksum.value, multipartId }
}

/** An object with more bytes than before. */
function extended(
  view: CommandView,
  editor: RowEditor,
  { nowMs, id }: DecisionTime,
  request: Append,
  { found, record }: { readonly found: VersionMatch; readonly record: VersionRecord },
): Made {
  const { bytes, multipartId: newId } = request
  const offsetBytes = found.head.sizeBytes
  const sizeBytes = offsetBytes + bytes.lengthBytes
  const { objectBytesMax } = APPEND_LIMITS
  if (sizeBytes > objectBytesMax) throw fail("entityTooLarge", { sizeBytes, maxSizeAllowedBytes: objectBytesMax })
  const { multipartId, last, ...segments } = lastSegment(view, editor, nowMs, request, record, newId)
  const part = segmentPart(bytes.extent, nowMs, last?.parts.length)
  const isRoom = last !== undefined && hasRoom(last, bytes)
  const segment: SegmentRecord = isRoom
    ? { ...last, parts: [...last.parts, part] }
    : { offsetBytes, parts: [part], ...openIf(bytes) }
  putSegment(editor, multipartId, segment)
  // A segment that gets no more parts can be sealed.
  if (last?.isOpen === true && !isRoom) noteOpenEnd(view, editor, id, multipartId)
  const checksum = combined(record, request)
  const content = segmentsOf(multipartId, { ...segments, lastOffset: segment.offsetBytes })
  const { md5 } = request
  const parts = segments.uploadedParts > 0 ? found.head.parts : PARTS_SHOWN
  const head = editor.grow(found, { sizeBytes, content, md5, parts, checksum })
  return { head, offsetBytes, checksumValue: checksum.value, multipartId }
}

/** Returns true if the segment takes another part. */
const hasRoom = (segment: SegmentRecord, { isOpen }: SegmentBytes): boolean =>
  segment.source === undefined && (segment.isOpen === true) === isOpen && segment.parts.length < roomOf(segment)

const roomOf = ({ isOpen }: SegmentRecord): number =>
  isOpen === true ? APPEND_LIMITS.openParts : MANIFEST_SEGMENT_PARTS

/** Each note has another value, so that a job drops only the note that it has read. */
function noteOpenEnd(view: CommandView, editor: RowEditor, id: string, multipartId: MultipartId): void {
  const rowKey = multipartRowKey(editor.row, multipartId)
  view.get("openEnds", rowKey)
  editor.put("openEnds", rowKey, encodeHint(id))
}

interface ReplaceSegments {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  /** Neighbours, as they were read. */
  readonly segments: readonly SegmentRecord[]
  /** The same bytes. */
  readonly extent: Extent
  readonly isOpen: boolean
  readonly hints: readonly MissingShardHint[]
}

/** Replaces neighbouring segments by one with one part. Throws `conflict` if the object or one of them has changed. */
export const replaceSegments = command<[replace: ReplaceSegments], void>({
  name: "ReplaceSegments",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, multipartId, segments, extent, isOpen, hints }) {
    checkOwnUpload(time, extent.uploadId)
    const editor = new RowEditor(view, time, bucketId, key)
    const current = view.ifPresent("current", editor.row)
    const content = current && decodeVersion(current.value).content
    const isObject = content?.kind === "segments" && content.multipartId === multipartId
    if (!isObject && referencesTo(view, multipartRowKey(editor.row, multipartId)) === undefined) throw fail("conflict")
    for (const segment of segments) {
      const rowKey = offsetRowKey(editor.row, multipartId, segment.offsetBytes)
      const row = view.get("segments", rowKey)
      if (row === undefined || !equalBytes(row.value, encodeSegment(segment))) throw fail("conflict")
      editor.put("segments", rowKey, undefined)
      for (const part of segment.parts) editor.deleteLater({ kind: "extent", bucketId, key, extent: part.extent })
    }
    const { offsetBytes } = must(segments[0], "there are some")
    const parts = [segmentPart(extent, time.nowMs)]
    putSegment(editor, multipartId, { offsetBytes, parts, ...(isOpen && { isOpen }) })
    editor.record(hints.map(hintRowKey))
    return { ...editor.finish(), result: undefined }
  },
})

/** Returns true if a client may repeat the append of this row. */
export const isRepeatable = (value: Uint8Array, nowMs: number): boolean =>
  decodeAppend(value).appendedMs + APPEND_LIMITS.repeatableMs > nowMs

const fullChecksum = (algorithm: ChecksumAlgorithm | undefined, value: string | undefined): NewVersion["checksum"] =>
  algorithm === undefined || value === undefined
    ? NO_CHECKSUM
    : { checksumAlgorithm: algorithm, checksumType: "FULL_OBJECT", value }

/** The CRC of all bytes, if the object has one, and the appended bytes the same; otherwise the object has none any more. */
function combined({ head, checksumValue }: VersionRecord, { bytes, algorithm }: Append): NewVersion["checksum"] {
  const { checksumAlgorithm, checksumType, sizeBytes } = head
  if (sizeBytes === 0) return fullChecksum(algorithm, bytes.checksumValue)
  if (algorithm === undefined || algorithm !== checksumAlgorithm || checksumType !== "FULL_OBJECT") return NO_CHECKSUM
  if (!isCrc(algorithm) || checksumValue === undefined || bytes.checksumValue === undefined) return NO_CHECKSUM
  const values = [
    { value: Buffer.from(checksumValue, "base64"), lengthBytes: sizeBytes },
    { value: Buffer.from(bytes.checksumValue, "base64"), lengthBytes: bytes.lengthBytes },
  ]
  return fullChecksum(algorithm, base64Of(combineCrcs(algorithm, values)))
}
