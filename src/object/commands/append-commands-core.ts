/**
 * Appends: bytes that are added to the end of an object, in one order for all clients. Pure.
 *
 * The object's bytes are in segments from its first append on. An object that was one extent keeps it as its first part;
 * one that was uploaded in parts keeps the segments of its upload. Appended segments are found by their offsets. The last
 * one takes more parts until it is full; small parts are copies (`SegmentRecord.isOpen`), which a job seals into
 * erasure-coded blocks later.
 */
import { must } from "../../base/assert.js"
import { equalBytes } from "../../base/bytes.js"
import { fail } from "../../base/failures.js"
import type { BucketId, MultipartId, ObjectKey, RowKey } from "../../base/ids.js"
import { MANIFEST_SEGMENT_PARTS, OBJECT_BYTES_MAX, PARTS_MAX } from "../../base/limits.js"
import type { StorageClass } from "../../base/storage-class.js"
import type { Extent } from "../../format/extent.js"
import {
  decodeAppend,
  decodeSegment,
  encodeAppend,
  encodeHint,
  encodeSegment,
  type BucketRecord,
  type PartRecord,
  type SegmentRecord,
} from "../../format/records.js"
import { appendedRowKey, appendRowKey, multipartRowKey, objectRowKey } from "../../format/row-key.js"
import {
  decodeVersion,
  decodeVersionHead,
  type Appended,
  type ChecksumName,
  type Content,
  type VersionDetails,
  type VersionHead,
  type VersionRecord,
} from "../../format/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "../../metadata/index.js"
import { base64Of } from "../body-check-core.js"
import type { Conditions } from "../contract.js"
import { requireBucket } from "./bucket-rows-core.js"
import { combineCrcs, isCrc } from "./crc-combine-core.js"
import { expiryClock, isExpired } from "./expiry-core.js"
import { findLatest, type VersionMatch } from "./found-versions-core.js"
import { NO_CHECKSUM, RowEditor, type NewVersion } from "./row-editor-core.js"
import { referencesTo } from "../queries/manifest-core.js"
import { checkOwnUpload, checkWrite, hintRowKey, type MissingShardHint, type Stored } from "./version-commands-core.js"

const APPEND_LIMITS = {
  /** Parts of an open segment: each append rewrites the last segment. */
  openParts: 32,
  /** As long as the longest object that can be uploaded in parts. */
  objectBytesMax: PARTS_MAX * OBJECT_BYTES_MAX,
  /** A client may repeat an append for so long. */
  repeatableMs: 24 * 3_600_000,
} as const

/** An ETag that is no MD5 ends in a number of parts. */
const PARTS_SHOWN = 1

/** Bytes that are appended, or those that the object had in its row. */
export interface AppendedBytes {
  readonly extent: Extent
  readonly lengthBytes: number
  /** Base64, by the algorithm of the request. */
  readonly checksumValue: string | undefined
  /** Its blocks are copies, of which several are sealed together. */
  readonly isOpen: boolean
}

interface Append {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  /** Where the client expects the end of the object; undefined: wherever it is. */
  readonly atOffset: number | undefined
  /** The hash of the client's id for the append: 16 bytes. */
  readonly idHash: Uint8Array | undefined
  readonly conditions: Conditions
  readonly bytes: AppendedBytes
  readonly algorithm: ChecksumName | undefined
  /** The hints of both the appended and the moved bytes. */
  readonly hints: readonly MissingShardHint[]
  /** The content of an inline object, in blocks. */
  readonly moved: { readonly order: number; readonly bytes: AppendedBytes } | undefined
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
  /** Where the appended bytes begin. */
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

/** Throws `notImplemented`, `invalidRequest` if objects of the bucket cannot be appended to. */
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
  if (idHash === undefined || content.kind !== "segments" || content.appended === undefined) return undefined
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

/** The order of the current version of each row, which every write of the object increases; 0 if there is no object. */
export const readOrders = query("ReadOrders", (view, rows: readonly RowKey[]): readonly number[] =>
  rows.map(key => {
    const row = view.get("current", key)
    return row === undefined ? 0 : decodeVersionHead(row.value).order
  }),
)

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
 * since its bytes were moved or others share them, `quotaExceeded`, `entityTooLarge`, and as `appendable`.
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
    ...{ isMarker: false, payload: undefined, sizeBytes: bytes.lengthBytes, md5, parts: PARTS_SHOWN, random, checksum },
    ...{ details, storageClass, isShared: false },
    content: segmentsOf(multipartId, { lastOffset: 0, uploadedParts: 0 }),
  }
  putSegment(editor, multipartId, { offsetBytes: 0, parts: [appendedPart(bytes.extent, nowMs)], ...openIf(bytes) })
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
  const part = appendedPart(bytes.extent, nowMs, last?.parts.length)
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
  const head = editor.append(found, { sizeBytes, content, md5, parts, checksum })
  return { head, offsetBytes, checksumValue: checksum.value, multipartId }
}

/** Returns true if the segment takes another part. */
const hasRoom = (segment: SegmentRecord, { isOpen }: AppendedBytes): boolean =>
  segment.source === undefined && (segment.isOpen === true) === isOpen && segment.parts.length < roomOf(segment)

interface LastSegment extends Omit<Appended, "lastOffset"> {
  readonly multipartId: MultipartId
  /** The last segment is undefined if nothing was appended. */
  readonly last: SegmentRecord | undefined
}

/** The last segment, and those that the object's bytes are in from now on. */
export function lastSegment(
  view: CommandView,
  editor: RowEditor,
  nowMs: number,
  { moved }: Pick<Append, "moved">,
  { head, content }: VersionRecord,
  newId: MultipartId,
): LastSegment {
  switch (content.kind) {
    case "none":
      throw fail("internal", { reason: "a delete marker is no object" })
    case "inline": {
      if (head.sizeBytes === 0) return { multipartId: newId, last: undefined, uploadedParts: 0 }
      if (moved?.order !== head.order) throw fail("conflict")
      const last: SegmentRecord = {
        offsetBytes: 0,
        parts: [appendedPart(moved.bytes.extent, nowMs)],
        ...openIf(moved.bytes),
      }
      // A row of its own, in case the appended part does not go with it.
      putSegment(editor, newId, last)
      return { multipartId: newId, last, uploadedParts: 0 }
    }
    case "extent": {
      const { extent } = content
      const bytes = { extent, lengthBytes: head.sizeBytes, checksumValue: undefined, isOpen: false }
      if (head.sizeBytes === 0) {
        editor.release({ kind: "extent", bucketId: editor.bucketId, key: editor.key, extent })
        return { multipartId: newId, last: undefined, uploadedParts: 0 }
      }
      const last: SegmentRecord = { offsetBytes: 0, parts: [appendedPart(bytes.extent, nowMs)] }
      putSegment(editor, newId, last)
      return { multipartId: newId, last, uploadedParts: 0 }
    }
    case "segments": {
      const { multipartId, appended } = content
      if (appended === undefined) return { multipartId, last: undefined, uploadedParts: head.parts }
      const row = view.get("segments", appendedRowKey(editor.row, multipartId, appended.lastOffset))
      const { lastOffset: _, ...segments } = appended
      return { multipartId, last: row && decodeSegment(row.value), ...segments }
    }
  }
}

const roomOf = ({ isOpen }: SegmentRecord): number =>
  isOpen === true ? APPEND_LIMITS.openParts : MANIFEST_SEGMENT_PARTS

const openIf = ({ isOpen }: AppendedBytes): { isOpen?: true } => (isOpen ? { isOpen } : {})

export const segmentsOf = (multipartId: MultipartId, appended: Appended): Content => ({
  kind: "segments",
  multipartId,
  completion: NO_TOKEN,
  appended,
})

/** No completion is recognised by it. */
const NO_TOKEN = new Uint8Array(0)
const NO_MD5 = new Uint8Array(16)

/** A part that is the first of a segment, unless the segment has some. */
export const appendedPart = (extent: Extent, modifiedMs: number, before = 0): PartRecord => ({
  partNumber: before + 1,
  md5: NO_MD5,
  modifiedMs,
  checksumValue: undefined,
  extent,
})

function putSegment(editor: RowEditor, multipartId: MultipartId, segment: SegmentRecord): void {
  editor.put("segments", appendedRowKey(editor.row, multipartId, segment.offsetBytes), encodeSegment(segment))
}

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
      const rowKey = appendedRowKey(editor.row, multipartId, segment.offsetBytes)
      const row = view.get("segments", rowKey)
      if (row === undefined || !equalBytes(row.value, encodeSegment(segment))) throw fail("conflict")
      editor.put("segments", rowKey, undefined)
      for (const part of segment.parts) editor.release({ kind: "extent", bucketId, key, extent: part.extent })
    }
    const { offsetBytes } = must(segments[0], "there are some")
    const parts = [appendedPart(extent, time.nowMs)]
    putSegment(editor, multipartId, { offsetBytes, parts, ...(isOpen && { isOpen }) })
    editor.record(hints.map(hintRowKey))
    return { ...editor.finish(), result: undefined }
  },
})

/** Returns true if a client may repeat the append of this row. */
export const isRepeatable = (value: Uint8Array, nowMs: number): boolean =>
  decodeAppend(value).appendedMs + APPEND_LIMITS.repeatableMs > nowMs

const fullChecksum = (algorithm: ChecksumName | undefined, value: string | undefined): NewVersion["checksum"] =>
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
