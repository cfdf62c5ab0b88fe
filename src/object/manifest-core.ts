/**
 * Manifests: the segments of a completed multipart object, found without reading them all. Pure.
 */
import { must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { BucketId, MultipartId, ObjectKey } from "../base/ids.js"
import { MANIFEST_SEGMENT_PARTS } from "../base/limits.js"
import type { ExtentRange } from "../block/index.js"
import { objectRowKey, segmentRowKey } from "../format/row-key.js"
import { decodeSegment, type PartRecord, type SegmentRecord } from "../format/records.js"
import type { TabletView } from "../tablet/index.js"

export interface ManifestAddress {
  readonly bucketId: BucketId
  readonly key: ObjectKey
  readonly multipartId: MultipartId
  readonly parts: number
}

export function readSegment(view: TabletView, address: ManifestAddress, number: number): SegmentRecord {
  const key = segmentRowKey(objectRowKey(address.bucketId, address.key), address.multipartId, number)
  const row = view.get("segments", key)
  if (!row) throw fail("corruptRecord", { what: "segment", number })
  return decodeSegment(row.value)
}

export const segmentCount = (address: ManifestAddress): number => Math.ceil(address.parts / MANIFEST_SEGMENT_PARTS)

/** The last segment that begins at or before the offset, by bisection. */
function segmentAt(view: TabletView, address: ManifestAddress, offsetBytes: number): number {
  let low = 0
  let high = segmentCount(address) - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (readSegment(view, address, middle).offsetBytes <= offsetBytes) low = middle
    else high = middle - 1
  }
  return low
}

/** The extents that a range of the object touches, in order; segments are read as they are reached. */
export function* extentsOfRange(
  view: TabletView,
  address: ManifestAddress,
  first: number,
  lengthBytes: number,
): Generator<ExtentRange> {
  const end = first + lengthBytes
  for (let number = segmentAt(view, address, first); number < segmentCount(address); number += 1) {
    const segment = readSegment(view, address, number)
    let at = segment.offsetBytes
    for (const { extent } of segment.parts) {
      const from = Math.max(first, at)
      const to = Math.min(end, at + extent.lengthBytes)
      if (from < to) yield { extent, offsetBytes: from - at, lengthBytes: to - from }
      at += extent.lengthBytes
      if (at >= end) return
    }
  }
}

export interface PlacedPart {
  readonly part: PartRecord
  readonly offsetBytes: number
}

/** The n-th part (from 1, as the object counts them) with its offset. Throws `invalidPartNumber`. */
export function partByNumber(view: TabletView, address: ManifestAddress, partNumber: number): PlacedPart {
  if (partNumber < 1 || partNumber > address.parts)
    throw fail("invalidPartNumber", { partNumber, parts: address.parts })
  const segment = readSegment(view, address, Math.floor((partNumber - 1) / MANIFEST_SEGMENT_PARTS))
  const inSegment = (partNumber - 1) % MANIFEST_SEGMENT_PARTS
  const before = segment.parts.slice(0, inSegment)
  const offsetBytes = before.reduce((sum, part) => sum + part.extent.lengthBytes, segment.offsetBytes)
  return { part: must(segment.parts[inSegment], "segments are full but for the last"), offsetBytes }
}
