/**
 * Checks when a sealed version is opened: its extents are whole, in their order, and sealed. The tags of segments say
 * nothing of whole extents that are missing or exchanged. Without keys.
 *
 * Limits    MANIFESTS_MAX part lists are remembered as right; a turn of the event loop reads SEGMENTS_PER_TURN segments.
 */
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MANIFEST_SEGMENT_PARTS } from "@hayloft/base/limits.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import type { SegmentRecord } from "@hayloft/engine/format/records.js"
import { plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import type { VersionHead, VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { Soon } from "@hayloft/base/soon.js"
import { laterTurn } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { endOfSegment, partLinesOf, segmentCount, type ManifestAddress } from "../queries/manifest-core.js"

const MANIFESTS_MAX = 4_096
/** Reading 1,024 parts takes 3 to 6 ms. */
const SEGMENTS_PER_TURN = 4

/** At rest, bytes from before may not be sealed yet. */
const mayBe = (sealing: VersionRecord["sealing"], { isSealed }: Extent): boolean =>
  isSealed === true || sealing?.key.mode === "atRest"

/** The version that a list of parts is checked against. */
type ListedVersion = Pick<VersionRecord, "sealing"> & { readonly head: Pick<VersionHead, "sizeBytes"> }

/** The segments of an upload by their numbers, and others by their offsets. */
interface SegmentSource {
  uploaded(number: number): Soon<SegmentRecord>
  atOffset(offsetBytes: number): Soon<SegmentRecord>
}

/** Throws `corruptSeal`. */
export function checkSealedExtent(record: VersionRecord, extent: Extent): void {
  if (extent.part !== 0 || plainBytesOf(extent) !== record.head.sizeBytes || !mayBe(record.sealing, extent))
    throw misplaced(extent)
}

/**
 * Checks part lists, and remembers which were right: while its version exists, a list changes only where parts
 * are re-encoded.
 */
export class CheckedManifests {
  /** Those used last at the end. */
  private readonly right = new Set<string>()

  constructor(private readonly clock: Clock) {}

  /** Throws `corruptSeal`. */
  check(record: ListedVersion, manifest: ManifestAddress, source: SegmentSource): Soon<void> {
    const { bind } = must(record.sealing, "the version is sealed")
    // The bind stands for bucket, key, version, size and number of parts.
    const name = `${hexOf(bind)} ${manifest.multipartId}`
    if (!this.right.has(name)) return this.walk(record, manifest, source).then(() => this.keep(name))
    this.keep(name)
    return undefined
  }

  private keep(name: string): void {
    this.right.delete(name)
    this.right.add(name)
    const [oldest] = this.right
    if (this.right.size > MANIFESTS_MAX && oldest !== undefined) this.right.delete(oldest)
  }

  private async walk(record: ListedVersion, manifest: ManifestAddress, source: SegmentSource): Promise<void> {
    const { sizeBytes } = record.head
    let offsetBytes = await this.walkUploaded(record, manifest, source)
    for (let read = 1; manifest.lastOffset !== undefined && offsetBytes < sizeBytes; read += 1) {
      if (read % SEGMENTS_PER_TURN === 0) await laterTurn(this.clock)
      const segment = await source.atOffset(offsetBytes)
      const { parts, source: ofOthers } = segment
      // At rest, bytes of others are referenced until the object gets its own.
      const hasBytes = parts.length > 0 || (ofOthers !== undefined && record.sealing?.key.mode === "atRest")
      if (segment.offsetBytes !== offsetBytes || !hasBytes) throw misplaced({ sizeBytes })
      for (const { extent } of parts) if (!mayBe(record.sealing, extent)) throw misplaced(extent)
      offsetBytes = endOfSegment(segment)
    }
    if (offsetBytes !== sizeBytes) throw misplaced({ sizeBytes })
  }

  /** Returns the end of the last one. */
  private async walkUploaded(
    { sealing }: ListedVersion,
    manifest: ManifestAddress,
    source: SegmentSource,
  ): Promise<number> {
    let [offsetBytes, lastPart] = [0, 0]
    for (let number = 0; number < segmentCount(manifest); number += 1) {
      if (number % SEGMENTS_PER_TURN === SEGMENTS_PER_TURN - 1) await laterTurn(this.clock)
      const segment = await source.uploaded(number)
      const expected = Math.min(MANIFEST_SEGMENT_PARTS, manifest.parts - number * MANIFEST_SEGMENT_PARTS)
      const lines = partLinesOf(segment)
      if (segment.offsetBytes !== offsetBytes || lines.length !== expected) throw misplaced({ segment: number })
      for (const line of lines) {
        const { partNumber } = line
        if (partNumber <= lastPart) throw misplaced({ part: partNumber })
        lastPart = partNumber
        if ("extent" in line) {
          const { extent } = line
          if (extent.part !== partNumber || !mayBe(sealing, extent)) throw misplaced(extent)
          // At rest, bytes of others are referenced until the object gets its own.
        } else if (sealing?.key.mode !== "atRest") throw misplaced({ part: partNumber })
      }
      offsetBytes = endOfSegment(segment)
    }
    return offsetBytes
  }
}

const misplaced = (details: {
  readonly uploadId?: string
  readonly part?: number
  readonly segment?: number
  readonly sizeBytes?: number
}): Failure =>
  fail("corruptSeal", {
    message: "the parts of the version are not those that were written",
    uploadId: details.uploadId,
    part: details.part,
    segment: details.segment,
    sizeBytes: details.sizeBytes,
  })
