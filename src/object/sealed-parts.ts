/**
 * Checks when a sealed version is opened: its extents are whole, in their order, and sealed. The tags of segments say
 * nothing of whole extents that are missing or exchanged. Without keys.
 */
import { fail, type Failure } from "../base/failures.js"
import { MANIFEST_SEGMENT_PARTS } from "../base/limits.js"
import type { Extent } from "../format/extent.js"
import type { SegmentRecord } from "../format/records.js"
import { plainBytesOf } from "../format/sealing.js"
import type { VersionRecord } from "../format/version-record.js"
import type { Soon } from "../base/soon.js"
import { bytesOfParts } from "./queries/manifest-core.js"

/** At rest, bytes from before may not be sealed yet. */
const mayBe = ({ sealing }: VersionRecord, { isSealed }: Extent): boolean =>
  isSealed === true || sealing?.key.mode === "atRest"

/** Throws `corruptSeal`. */
export function checkSealedExtent(record: VersionRecord, extent: Extent): void {
  if (extent.part !== 0 || plainBytesOf(extent) !== record.head.sizeBytes || !mayBe(record, extent))
    throw misplaced(extent)
}

/** Throws `corruptSeal`. */
export async function checkSealedParts(
  record: VersionRecord,
  segments: number,
  segmentOf: (number: number) => Soon<SegmentRecord>,
): Promise<void> {
  const { parts, sizeBytes } = record.head
  let [offsetBytes, lastPart] = [0, 0]
  for (let number = 0; number < segments; number += 1) {
    const segment = await segmentOf(number)
    const expected = Math.min(MANIFEST_SEGMENT_PARTS, parts - number * MANIFEST_SEGMENT_PARTS)
    if (segment.offsetBytes !== offsetBytes || segment.parts.length !== expected) throw misplaced({ segment: number })
    for (const { partNumber, extent } of segment.parts) {
      if (extent.part !== partNumber || partNumber <= lastPart || !mayBe(record, extent)) throw misplaced(extent)
      lastPart = partNumber
    }
    offsetBytes += bytesOfParts(segment.parts)
  }
  if (offsetBytes !== sizeBytes) throw misplaced({ sizeBytes })
}

const misplaced = (details: {
  readonly uploadId?: string
  readonly part?: number
  readonly segment?: number
  readonly sizeBytes?: number
}): Failure =>
  fail("corruptSeal", {
    message: "the parts of the version are not those that were written",
    ...{ uploadId: details.uploadId, part: details.part, segment: details.segment, sizeBytes: details.sizeBytes },
  })
