/**
 * References: segments whose bytes are those of other objects of the bucket, so that an object is made without writing any.
 * Pure. See decision 82.
 *
 * What is referenced is a range of the segments of another object, which only grow at their end. The row in family
 * `references` counts the references; it stays until the segments are deleted. When no version of the key has the segments
 * any more, the collector marks the row instead of deleting them, and deletes them when the last reference goes. What is
 * referenced is in parts of its own, never in references: they are resolved when they are made.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import {
  decodePendingDeletion,
  decodeSegment,
  encodePendingDeletion,
  encodeSegment,
  type ReferringPart,
  type SegmentRecord,
  type SegmentSource,
} from "@hayloft/engine/format/records.js"
import {
  changedReferences,
  decodeReferences,
  encodeReferences,
  type ReferencesRecord,
} from "@hayloft/engine/format/objects/references-record.js"
import { objectRowKey, offsetRowKey, parseObjectRowKey, pendingDeletionRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type CommandView, type DecisionTime, type RowView } from "@hayloft/engine/metadata/index.js"
import { segmentPart } from "./segments-core.js"
import { hasDigests, referencesRowKey, sourcesOf, type SegmentsName } from "../queries/manifest-core.js"
import { versionOfSegments } from "../queries/versions-of-bytes-core.js"
import type { RowAsRead } from "./pending-deletion-commands-core.js"
import { RowEditor } from "./row-editor-core.js"
import { checkOwnUpload, hintRowKey, type MissingShardHint } from "./version-commands-core.js"

/** The row that counts references to segments; undefined: there were never any. */
export const referencesOf = query("ReferencesOf", (view, rowKey: RowKey) => {
  const row = view.get("references", rowKey)
  const read: RowAsRead | undefined = row && ["references", rowKey, row.value]
  return row && read && { row: read, count: decodeReferences(row.value).count }
})

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
export const dropSource = command<[bucketId: BucketId, row: RowAsRead], void>({
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

/** Counts one reference less for each source. Throws `corruptRecord` if they are not counted: a repair counts again. */
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
    writes.push(deletionOfSegments(time, bucketId, source, released))
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
export function deletionOfSegments(
  time: DecisionTime,
  bucketId: BucketId,
  { key, multipartId }: SegmentsName,
  index = 0,
): EntryWrite {
  const value = encodePendingDeletion({ kind: "segments", bucketId, key, multipartId })
  return { family: "pendingDeletions", key: pendingDeletionRowKey(time.id, index), value }
}

interface ReplaceSource extends SegmentsName {
  readonly bucketId: BucketId
  /** The segment that was read; it must not have changed since. */
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
    const rowKey = offsetRowKey(editor.row, multipartId, segment.offsetBytes)
    const row = view.get("segments", rowKey)
    if (row === undefined || !equalBytes(row.value, encodeSegment(segment))) throw fail("conflict")
    const source = must(segment.source, "the segment references others")
    const left = source.lengthBytes - lengthBytes
    const offsetBytes = segment.offsetBytes + left
    const own = encodeSegment({ offsetBytes, parts: [segmentPart(extent, time.nowMs)] })
    editor.put("segments", offsetRowKey(editor.row, multipartId, offsetBytes), own)
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

function withLastOffset(record: VersionRecord, offsetBytes: number): VersionRecord {
  const { content } = record
  if (content.kind !== "segments" || content.byOffset === undefined) return record
  const lastOffset = Math.max(offsetBytes, content.byOffset.lastOffset)
  return { ...record, content: { ...content, byOffset: { ...content.byOffset, lastOffset } } }
}

/**
 * Keeps released segments as long as others reference them: in place of the pending deletion the row of the references says
 * that they are released. Returns whether it is so; otherwise they can be deleted, and get no reference any
 * more.
 */
export const keepReferenced = command<[deletion: RowAsRead], boolean>({
  name: "KeepReferenced",
  grows: false,
  touches: ([family, rowKey]) => [[family, rowKey]],
  decide(view, _time, [family, rowKey, value]) {
    const row = view.ifPresent(family, rowKey)
    if (row === undefined || !equalBytes(row.value, value)) return { writes: [], result: true }
    const deletion = decodePendingDeletion(value)
    const { bucketId } = deletion
    const name = must(deletion.kind === "segments" ? deletion : undefined, "segments were released")
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
 * From now on these segments get no more references; nothing if they have no digests, or get none already.
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
 * From now on these segments get no more references: some of their bytes are lost, and writes of the same bytes
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
