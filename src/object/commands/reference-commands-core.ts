/**
 * References: segments whose bytes are those of other objects of the bucket, so that a copy or a concatenation writes none.
 * Pure. See decision 82.
 *
 * What is referenced is a range of the segments of another object, which only grow at their end. The row in family
 * `references` counts the references; it stays until the segments are deleted. When no version of the key has the segments
 * any more, the collector marks the row instead of deleting them, and deletes them when the last reference goes. What is
 * referenced is in parts of its own, never in references: they are resolved when they are made.
 */
import { must } from "../../base/assert.js"
import { equalBytes } from "../../base/bytes.js"
import { fail } from "../../base/failures.js"
import { MIB } from "../../base/limits.js"
import {
  rowKeyOf,
  textOfObjectKey,
  type BucketId,
  type MultipartId,
  type ObjectKey,
  type RowKey,
} from "../../base/ids.js"
import type { StorageClass } from "../../base/storage-class.js"
import { VERSION_FAMILIES, versionOfRow } from "../../format/deleted-version.js"
import type { EntryWrite } from "../../format/entry.js"
import type { Extent } from "../../format/extent.js"
import {
  decodePendingDeletion,
  decodeSegment,
  encodePendingDeletion,
  encodeSegment,
  type ReferringPart,
  type SegmentRecord,
  type SegmentSource,
} from "../../format/records.js"
import {
  changedReferences,
  decodeReferences,
  encodeReferences,
  type ReferencesRecord,
} from "../../format/references-record.js"
import {
  appendedRowKey,
  multipartRowKey,
  objectRowKey,
  parseObjectRowKey,
  pendingDeletionRowKey,
  suffixRange,
} from "../../format/row-key.js"
import { multipartIdOfSuffix } from "../../format/version-id.js"
import { decodeVersion, type VersionRecord } from "../../format/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "../../metadata/index.js"
import type { Conditions } from "../contract.js"
import {
  appendedPart,
  lastSegment,
  latestObject,
  requireAppendable,
  requireAppends,
  segmentsOf,
} from "./append-commands-core.js"
import type { AppendedBytes } from "./append-commands-core.js"
import { requireBucket } from "./bucket-rows-core.js"
import { expiryClock } from "./expiry-core.js"
import type { FoundVersion } from "./found-versions-core.js"
import { endUpload, requireUpload, sealedBy, type Completion } from "./multipart-commands-core.js"
import { hasDigests, referencesRowKey, sourcesOf, type SegmentsName } from "../queries/manifest-core.js"
import type { ReadRow } from "./pending-deletion-commands-core.js"
import { RowEditor, type NewVersion } from "./row-editor-core.js"
import { checkOwnUpload, checkWrite, hintRowKey, type MissingShardHint, type Stored } from "./version-commands-core.js"

export const REFERENCE_LIMITS = {
  /** The limit is for one new object: a command may touch 1,024 rows, and each source has up to three. */
  sourcesMax: 250,
  /** Shorter objects are copied: a reference costs as much. */
  copyBytesMin: MIB,
  /** Segments that one query resolves. */
  segmentsPerRead: 256,
} as const

/** The row that counts references to segments; undefined: there were never any. */
export const referencesOf = query("ReferencesOf", (view, rowKey: RowKey) => {
  const row = view.get("references", rowKey)
  const read: ReadRow | undefined = row && ["references", rowKey, row.value]
  return row && read && { row: read, count: decodeReferences(row.value).count }
})

interface IntoSegments {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly order: number
  /** The id of the segments, unless the object has some. */
  readonly multipartId: MultipartId
  /** The content of an inline object, in blocks. */
  readonly moved: AppendedBytes | undefined
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
      const rowKey = appendedRowKey(editor.row, multipartId, offsetBytes)
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

/** Counts one more reference for each source. */
export function withReferences(
  view: CommandView,
  bucketId: BucketId,
  sources: readonly SegmentSource[],
  storageClass: StorageClass,
): readonly EntryWrite[] {
  return Array.from(countsOf(bucketId, sources), ([key, { count: added }]): EntryWrite => {
    const row = view.get("references", key)
    const before: ReferencesRecord = row ? decodeReferences(row.value) : { count: 0, isReleased: false, storageClass }
    const value = encodeReferences(changedReferences(before, { count: before.count + added }))
    return { family: "references", key, value }
  })
}

/**
 * Drops what a segment references, of an object that is gone; if it has bytes of its own too, the row stays with those.
 * Segments that nothing has any more become a pending deletion. Does nothing if the row has changed.
 */
export const dropSource = command<[bucketId: BucketId, row: ReadRow], void>({
  name: "DropSource",
  grows: false,
  touches: (_bucketId, [family, rowKey]) => [[family, rowKey]],
  decide(view, time, bucketId, [family, rowKey, value]) {
    const row = view.ifPresent(family, rowKey)
    if (row === undefined || !equalBytes(row.value, value)) return { writes: [], result: undefined }
    const segment = decodeSegment(value)
    const { offsetBytes, parts } = segment
    const left = parts.length > 0 ? encodeSegment({ offsetBytes, parts }) : undefined
    const writes: EntryWrite[] = [{ family, key: rowKey, value: left }]
    return { writes: [...writes, ...withoutReferences(view, time, bucketId, sourcesOf(segment))], result: undefined }
  },
})

/** Counts one reference less for each source. Throws `corruptRecord` if they are not counted: `dedup rebuild` counts again. */
export function withoutReferences(
  view: CommandView,
  time: DecisionTime,
  bucketId: BucketId,
  sources: readonly SegmentSource[],
): readonly EntryWrite[] {
  const writes: EntryWrite[] = []
  let released = 0
  for (const [referencesKey, { source, count: dropped }] of countsOf(bucketId, sources)) {
    const row = view.get("references", referencesKey)
    const record = row && decodeReferences(row.value)
    if (record === undefined || record.count < dropped)
      throw fail("corruptRecord", { what: "references", key: textOfObjectKey(source.key) })
    const { isReleased } = record
    const count = record.count - dropped
    const left = encodeReferences(changedReferences(record, { count, isReleased: isReleased && count > 0 }))
    writes.push({ family: "references", key: referencesKey, value: left })
    if (count > 0 || !isReleased) continue
    writes.push(releaseOfSegments(time, bucketId, source, released))
    released += 1
  }
  return writes
}

/** The number of sources with the same segments, by the key of their count. */
function countsOf(bucketId: BucketId, sources: readonly SegmentSource[]) {
  const counts = new Map<RowKey, { readonly source: SegmentSource; count: number }>()
  for (const source of sources) {
    const rowKey = referencesRowKey(bucketId, source)
    const found = counts.get(rowKey)
    if (found === undefined) counts.set(rowKey, { source, count: 1 })
    else found.count += 1
  }
  return counts
}

/** The pending deletion of segments that nothing references any more; `index`: of one decision, each its own. */
export function releaseOfSegments(
  time: DecisionTime,
  bucketId: BucketId,
  { key, multipartId }: SegmentsName,
  index = 0,
): EntryWrite {
  const value = encodePendingDeletion({ kind: "segments", bucketId, key, multipartId })
  return { family: "releases", key: pendingDeletionRowKey(time.id, index), value }
}

interface ReplaceSource extends SegmentsName {
  readonly bucketId: BucketId
  /** As it was read. */
  readonly segment: SegmentRecord
  /** The last bytes of the source. */
  readonly extent: Extent
  readonly lengthBytes: number
  readonly hints: readonly MissingShardHint[]
}

/**
 * Replaces the last bytes of a segment that references others by bytes of its own; what is left stays before them. Throws
 * `conflict` if the segment has changed, or no version has it.
 */
export const replaceSource = command<[replace: ReplaceSource], void>({
  name: "ReplaceSource",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, multipartId, segment, extent, lengthBytes, hints }) {
    checkOwnUpload(time, extent.uploadId)
    const editor = new RowEditor(view, time, bucketId, key)
    const found = versionOfSegments(view, editor.row, multipartId)
    if (found === undefined) throw fail("conflict")
    const rowKey = appendedRowKey(editor.row, multipartId, segment.offsetBytes)
    const row = view.get("segments", rowKey)
    if (row === undefined || !equalBytes(row.value, encodeSegment(segment))) throw fail("conflict")
    const source = must(segment.source, "the segment references others")
    const left = source.lengthBytes - lengthBytes
    const offsetBytes = segment.offsetBytes + left
    const own = encodeSegment({ offsetBytes, parts: [appendedPart(extent, time.nowMs)] })
    editor.put("segments", appendedRowKey(editor.row, multipartId, offsetBytes), own)
    if (left > 0) {
      editor.put("segments", rowKey, encodeSegment({ ...segment, source: { ...source, lengthBytes: left } }))
      editor.rewrite(found, record => withLastOffset(record, offsetBytes))
    }
    editor.record(hints.map(hintRowKey))
    const finished = editor.finish()
    const dropped = left === 0 ? withoutReferences(view, time, bucketId, [source]) : []
    return { ...finished, writes: [...finished.writes, ...dropped], result: undefined }
  },
})

interface ReplaceReferring extends Omit<ReplaceSource, "lengthBytes"> {
  readonly rowKey: RowKey
  readonly part: ReferringPart
}

/** Gives a part of a completed upload bytes of its own in place of those of another object. Throws as `replaceSource`. */
export const replaceReferring = command<[replace: ReplaceReferring], void>({
  name: "ReplaceReferring",
  touches: ({ bucketId, key }) => [["current", objectRowKey(bucketId, key)]],
  decide(view, time, { bucketId, key, multipartId, rowKey, segment, part, extent, hints }) {
    checkOwnUpload(time, extent.uploadId)
    const editor = new RowEditor(view, time, bucketId, key)
    if (versionOfSegments(view, editor.row, multipartId) === undefined) throw fail("conflict")
    const row = view.get("segments", rowKey)
    if (row === undefined || !equalBytes(row.value, encodeSegment(segment))) throw fail("conflict")
    editor.put("segments", rowKey, encodeSegment(withOwnPart(segment, part, extent)))
    editor.record(hints.map(hintRowKey))
    const finished = editor.finish()
    const dropped = withoutReferences(view, time, bucketId, [part.source])
    return { ...finished, writes: [...finished.writes, ...dropped], result: undefined }
  },
})

function withOwnPart(segment: SegmentRecord, part: ReferringPart, extent: Extent): SegmentRecord {
  const { offsetBytes, parts, referring = [] } = segment
  const { source: _, ...facts } = part
  const own = [...parts, { ...facts, extent }].sort((a, b) => a.partNumber - b.partNumber)
  const left = referring.filter(({ partNumber }) => partNumber !== part.partNumber)
  return { offsetBytes, parts: own, ...(left.length > 0 && { referring: left }) }
}

/** A version, also a deleted one that is kept, that has these segments. */
export function versionOfSegments(view: RowView, row: RowKey, multipartId: MultipartId): FoundVersion | undefined {
  for (const family of VERSION_FAMILIES) {
    for (const [rowKey, found] of view.range(family, { ...suffixRange(row), presentOnly: true })) {
      const { head, content } = versionOfRow(family, found.value)
      if (content.kind === "segments" && content.multipartId === multipartId)
        return { head, family, rowKey, row: found }
    }
  }
  return undefined
}

function withLastOffset(record: VersionRecord, offsetBytes: number): VersionRecord {
  const { content } = record
  if (content.kind !== "segments" || content.appended === undefined) return record
  const lastOffset = Math.max(offsetBytes, content.appended.lastOffset)
  return { ...record, content: { ...content, appended: { ...content.appended, lastOffset } } }
}

/**
 * Keeps released segments as long as others reference them: in place of the pending deletion the row of the references says
 * that they are released. Returns whether it is so; otherwise they can be deleted, and deduplication adds no reference any
 * more.
 */
export const keepReferenced = command<[release: ReadRow], boolean>({
  name: "KeepReferenced",
  grows: false,
  touches: ([family, rowKey]) => [[family, rowKey]],
  decide(view, _time, [family, rowKey, value]) {
    const row = view.ifPresent(family, rowKey)
    if (row === undefined || !equalBytes(row.value, value)) return { writes: [], result: true }
    const release = decodePendingDeletion(value)
    const { bucketId } = release
    const name = must(release.kind === "segments" ? release : undefined, "segments were released")
    const referencesKey = referencesRowKey(bucketId, name)
    const references = view.ifPresent("references", referencesKey)
    const record = references && decodeReferences(references.value)
    if (record === undefined || record.count === 0)
      return { writes: closedReferences(view, bucketId, name, record?.storageClass), result: false }
    const kept = encodeReferences(changedReferences(record, { isReleased: true }))
    const writes: EntryWrite[] = [
      { family, key: rowKey, value: undefined },
      { family: "references", key: referencesKey, value: kept },
    ]
    return { writes, result: true }
  },
})

/**
 * From now on deduplication adds no references to these segments; nothing if they have no digests, or it adds none already.
 * A decision may rely on the digests that it finds: an object gets them when it is made, or later in a decision that writes
 * its row (`giveDigests`).
 */
export function closedReferences(
  view: RowView,
  bucketId: BucketId,
  name: SegmentsName,
  storageClass: StorageClass = "STANDARD",
): readonly EntryWrite[] {
  if (!hasDigests(view, bucketId, name)) return []
  const key = referencesRowKey(bucketId, name)
  const row = view.get("references", key)
  const before: ReferencesRecord = row ? decodeReferences(row.value) : { count: 0, isReleased: false, storageClass }
  if (before.isClosed) return []
  return [{ family: "references", key, value: encodeReferences(changedReferences(before, { isClosed: true })) }]
}

/**
 * From now on deduplication adds no references to these segments: some of their bytes are lost, and writes of the same bytes
 * store them. References that are there stay. By the key of what counts them.
 */
export const closeReferences = command<[bucketId: BucketId, rowKey: RowKey], void>({
  name: "CloseReferences",
  grows: false,
  touches: (_bucketId, rowKey) => [["references", rowKey]],
  decide(view, _time, bucketId, rowKey) {
    const { key, suffix } = parseObjectRowKey(rowKey)
    const name = { key, multipartId: multipartIdOfSuffix(suffix) }
    return { writes: closedReferences(view, bucketId, name), result: undefined }
  },
})

/** Returns true if others reference the segments, or may yet do so. */
export const isReferable = query("IsReferable", (view, bucketId: BucketId, name: SegmentsName): boolean => {
  const row = view.get("references", referencesRowKey(bucketId, name))
  const record = row && decodeReferences(row.value)
  return (record !== undefined && record.count > 0) || (!record?.isClosed && hasDigests(view, bucketId, name))
})

/** Appended segments of an object from the one with an offset on, in order; `next`: the offset of the first that is left out. */
export const appendedSegments = query(
  "AppendedSegments",
  (view, bucketId: BucketId, { key, multipartId }: SegmentsName, fromBytes: number) => {
    const row = objectRowKey(bucketId, key)
    const { end } = suffixRange(multipartRowKey(row, multipartId))
    const segments: SegmentRecord[] = []
    // The keys of appended segments descend with their offsets, and come after those of an upload.
    const start = appendedRowKey(row, multipartId, Number.MAX_SAFE_INTEGER)
    const last = appendedRowKey(row, multipartId, fromBytes)
    const range = { start, end: rowKeyOf(`${last}\x00`) < end ? rowKeyOf(`${last}\x00`) : end, reverse: true }
    for (const [, { value }] of view.range("segments", range)) {
      const segment = decodeSegment(value)
      if (segments.length === REFERENCE_LIMITS.segmentsPerRead) return { segments, next: segment.offsetBytes }
      segments.push(segment)
    }
    return { segments, next: undefined }
  },
)
