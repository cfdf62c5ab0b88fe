/**
 * Manifests: the segments of an object, found without reading them all. Pure.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { type BucketId, type MultipartId, type ObjectKey, type RowKey, rowKeyAfter } from "@hayloft/base/ids.js"
import { MANIFEST_SEGMENT_PARTS } from "@hayloft/base/limits.js"
import type { ExtentRange } from "@hayloft/engine/block/index.js"
import { digestsOfSegments } from "@hayloft/engine/format/objects/dedup-rows.js"
import {
  multipartRowKey,
  objectRowKey,
  offsetRowKey,
  segmentRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import {
  decodeSegment,
  type PartRecord,
  type ReferringPart,
  type SegmentRecord,
  type SegmentSource,
} from "@hayloft/engine/format/records.js"
import { decodeReferences, type ReferencesRecord } from "@hayloft/engine/format/objects/references-record.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"

export interface ManifestAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  /** The parts of the upload that the object is, or was before it grew. */
  readonly parts: number
  /** The offset of the last segment that is found by its offset. Undefined if there are none. */
  readonly lastOffset: number | undefined
}

/** The address of an object's part list; undefined if it has no parts. */
export function manifestOf(
  bucketId: BucketId,
  key: ObjectKey,
  { head, content }: Pick<VersionRecord, "head" | "content">,
): ManifestAddress | undefined {
  if (content.kind !== "segments") return undefined
  const { multipartId, byOffset } = content
  return {
    bucketId,
    key,
    multipartId,
    parts: byOffset?.uploadedParts ?? head.parts,
    lastOffset: byOffset?.lastOffset,
  }
}

/** A segment of the upload, by its number. */
export function readSegment(view: RowView, address: ManifestAddress, number: number): SegmentRecord {
  const key = segmentRowKey(objectRowKey(address.bucketId, address.key), address.multipartId, number)
  const row = view.get("segments", key)
  if (!row) throw fail("corruptRecord", { what: "segment", number })
  return decodeSegment(row.value)
}

/** How many segments the upload has. */
export const segmentCount = (address: ManifestAddress): number => Math.ceil(address.parts / MANIFEST_SEGMENT_PARTS)

/**
 * The last segment that begins at or before the offset. Readers go from one to the next by their offsets: those
 * that are found by them may be merged meanwhile.
 */
export function segmentAt(view: RowView, address: ManifestAddress, offsetBytes: number): SegmentRecord {
  return offsetSegmentAt(view, address, offsetBytes) ?? uploadedSegmentAt(view, address, offsetBytes)
}

function offsetSegmentAt(view: RowView, address: ManifestAddress, offsetBytes: number): SegmentRecord | undefined {
  if (address.lastOffset === undefined) return undefined
  const row = objectRowKey(address.bucketId, address.key)
  const start = offsetRowKey(row, address.multipartId, offsetBytes)
  const { end } = suffixRange(multipartRowKey(row, address.multipartId))
  const found = firstOf(view.range("segments", { start, end, presentOnly: true, expectedRows: 1 }))
  return found && decodeSegment(found[1].value)
}

/** By bisection. */
function uploadedSegmentAt(view: RowView, address: ManifestAddress, offsetBytes: number): SegmentRecord {
  let low = 0
  let high = segmentCount(address) - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (readSegment(view, address, middle).offsetBytes <= offsetBytes) low = middle
    else high = middle - 1
  }
  return readSegment(view, address, low)
}

/** The length of some parts, as clients see it. */
export const bytesOfParts = (parts: readonly PartRecord[]): number =>
  parts.reduce((sum, { extent }) => sum + plainBytesOf(extent), 0)

/** A part of a segment, with bytes of its own or of another object. */
export type PartLine = PartRecord | ReferringPart

/** The parts of a segment in the order of their numbers. */
export const partLinesOf = ({ parts, referring }: Pick<SegmentRecord, "parts" | "referring">): readonly PartLine[] =>
  referring === undefined ? parts : [...parts, ...referring].sort((a, b) => a.partNumber - b.partNumber)

/** The length of a part, as clients see it. */
export const bytesOfLine = (line: PartLine): number =>
  "extent" in line ? plainBytesOf(line.extent) : line.source.lengthBytes

const bytesOfLines = (lines: readonly PartLine[]): number => lines.reduce((sum, line) => sum + bytesOfLine(line), 0)

/** Returns where the next segment begins. */
export const endOfSegment = (segment: SegmentRecord): number =>
  segment.offsetBytes + (segment.source?.lengthBytes ?? bytesOfLines(partLinesOf(segment)))

/** The sources that a segment references. */
export const sourcesOf = ({ source, referring = [] }: SegmentRecord): readonly SegmentSource[] =>
  source === undefined ? referring.map(part => part.source) : [source]

/** A segment as neighbours that each have parts of their own, or one source. */
export function piecesOf(segment: SegmentRecord): readonly SegmentRecord[] {
  if (segment.referring === undefined) return [segment]
  const pieces: SegmentRecord[] = []
  let { offsetBytes } = segment
  for (const line of partLinesOf(segment)) {
    const last = pieces.at(-1)
    if (!("extent" in line)) pieces.push({ offsetBytes, parts: [], source: line.source })
    else if (last === undefined || last.source !== undefined) pieces.push({ offsetBytes, parts: [line] })
    else pieces[pieces.length - 1] = { ...last, parts: [...last.parts, line] }
    offsetBytes += bytesOfLine(line)
  }
  return pieces
}

/** The segments that a source is a range of. The object that they were made for may be gone. */
export const manifestOfSource = (bucketId: BucketId, source: SegmentSource): ManifestAddress => ({
  bucketId,
  key: source.key,
  multipartId: source.multipartId,
  parts: source.uploadedParts,
  lastOffset: Number.MAX_SAFE_INTEGER,
})

/** Returns true if segments have the range in parts of their own. */
export function hasOwnBytes(view: RowView, bucketId: BucketId, source: SegmentSource): boolean {
  const manifest = manifestOfSource(bucketId, source)
  const end = source.offsetBytes + source.lengthBytes
  try {
    for (let at = source.offsetBytes; at < end;) {
      const segment = segmentAt(view, manifest, at)
      const piece = piecesOf(segment).find(each => each.offsetBytes <= at && at < endOfSegment(each))
      if (piece === undefined || piece.source !== undefined) return false
      at = endOfSegment(piece)
    }
    return true
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return false
    throw error
  }
}

/** The same for readers that look for this offset in the segment. Throws `corruptRecord` if the segment does not have it. */
export function endOfSegmentAt(segment: SegmentRecord, offsetBytes: number): number {
  const end = endOfSegment(segment)
  if (segment.offsetBytes <= offsetBytes && offsetBytes < end) return end
  throw fail("corruptRecord", { what: "segment", offsetBytes })
}

/** The extents of a segment with parts of its own that a range of the object touches, in order. All numbers are of the plaintext. */
export function* extentsOfSegment(segment: SegmentRecord, first: number, lengthBytes: number): Generator<ExtentRange> {
  const end = first + lengthBytes
  let at = segment.offsetBytes
  for (const { extent } of segment.parts) {
    const plainBytes = plainBytesOf(extent)
    const from = Math.max(first, at)
    const to = Math.min(end, at + plainBytes)
    if (from < to) yield { extent, offsetBytes: from - at, lengthBytes: to - from }
    at += plainBytes
    if (at >= end) return
  }
}

export interface PlacedPart {
  readonly part: PartLine
  readonly offsetBytes: number
}

/** Segments of an object, or of one that is gone. */
export interface SegmentsName {
  readonly key: ObjectKey
  readonly multipartId: MultipartId
}

export const referencesRowKey = (bucketId: BucketId, { key, multipartId }: SegmentsName): RowKey =>
  multipartRowKey(objectRowKey(bucketId, key), multipartId)

/**
 * Returns the references to segments from other objects; undefined if there are none. A decision may rely on it if
 * there are some: the row is validated then.
 */
export function referencesTo(view: RowView, rowKey: RowKey): ReferencesRecord | undefined {
  const range = { start: rowKey, end: rowKeyAfter(rowKey), presentOnly: true, expectedRows: 1 }
  const found = firstOf(view.range("references", range))
  const record = found && decodeReferences(found[1].value)
  return record !== undefined && record.count > 0 ? record : undefined
}

/** Returns true if the segments have digests: they may get references then. They keep them as long as they are there. */
export function hasDigests(view: RowView, bucketId: BucketId, { key, multipartId }: SegmentsName): boolean {
  const range = { ...digestsOfSegments(objectRowKey(bucketId, key), multipartId), presentOnly: true, expectedRows: 1 }
  return firstOf(view.range("blockDigests", range)) !== undefined
}

/** The n-th part (from 1, in the object's own numbering) with its offset; undefined if it has fewer. */
export function partByNumber(view: RowView, address: ManifestAddress, partNumber: number): PlacedPart | undefined {
  if (partNumber < 1 || partNumber > address.parts) return undefined
  const segment = readSegment(view, address, Math.floor((partNumber - 1) / MANIFEST_SEGMENT_PARTS))
  const inSegment = (partNumber - 1) % MANIFEST_SEGMENT_PARTS
  const lines = partLinesOf(segment)
  const offsetBytes = segment.offsetBytes + bytesOfLines(lines.slice(0, inSegment))
  return { part: must(lines[inSegment], "segments are full but for the last"), offsetBytes }
}
