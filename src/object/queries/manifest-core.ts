/**
 * Manifests: the segments of a completed multipart object, found without reading them all. Pure.
 */
import { must } from "../../base/assert.js"
import { fail } from "../../base/failures.js"
import type { BucketId, MultipartId, ObjectKey } from "../../base/ids.js"
import { MANIFEST_SEGMENT_PARTS } from "../../base/limits.js"
import type { ExtentRange } from "../../block/index.js"
import { objectRowKey, segmentRowKey } from "../../format/row-key.js"
import { decodeSegment, type PartRecord, type SegmentRecord } from "../../format/records.js"
import { plainBytesOf } from "../../format/sealing.js"
import type { VersionRecord } from "../../format/version-record.js"
import type { RowView } from "../../metadata/index.js"

export interface ManifestAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  readonly parts: number
}

/** The address of an object's part list; undefined if it has no parts. */
export function manifestOf(
  bucketId: BucketId,
  key: ObjectKey,
  { head, content }: VersionRecord,
): ManifestAddress | undefined {
  if (content.kind !== "segments") return undefined
  return { bucketId, key, multipartId: content.multipartId, parts: head.parts }
}

export function readSegment(view: RowView, address: ManifestAddress, number: number): SegmentRecord {
  const key = segmentRowKey(objectRowKey(address.bucketId, address.key), address.multipartId, number)
  const row = view.get("segments", key)
  if (!row) throw fail("corruptRecord", { what: "segment", number })
  return decodeSegment(row.value)
}

export const segmentCount = (address: ManifestAddress): number => Math.ceil(address.parts / MANIFEST_SEGMENT_PARTS)

/** The last segment that begins at or before the offset, by bisection. */
export function segmentAt(view: RowView, address: ManifestAddress, offsetBytes: number): number {
  let low = 0
  let high = segmentCount(address) - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (readSegment(view, address, middle).offsetBytes <= offsetBytes) low = middle
    else high = middle - 1
  }
  return low
}

/** The length of some parts, as clients see it. */
export const bytesOfParts = (parts: readonly PartRecord[]): number =>
  parts.reduce((sum, { extent }) => sum + plainBytesOf(extent), 0)

/** The extents of a segment that a range of the object touches, in order. Offsets and lengths are of the plaintext. */
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
  readonly part: PartRecord
  readonly offsetBytes: number
}

/** The n-th part (from 1, in the object's own numbering) with its offset; undefined if it has fewer. */
export function partByNumber(view: RowView, address: ManifestAddress, partNumber: number): PlacedPart | undefined {
  if (partNumber < 1 || partNumber > address.parts) return undefined
  const segment = readSegment(view, address, Math.floor((partNumber - 1) / MANIFEST_SEGMENT_PARTS))
  const inSegment = (partNumber - 1) % MANIFEST_SEGMENT_PARTS
  const offsetBytes = segment.offsetBytes + bytesOfParts(segment.parts.slice(0, inSegment))
  return { part: must(segment.parts[inSegment], "segments are full but for the last"), offsetBytes }
}
