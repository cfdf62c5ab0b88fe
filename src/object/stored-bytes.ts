/**
 * Bytes of a version that lie in blocks: which ranges of which extents they are, and what is read of them
 * while the row that names them has just been looked at.
 */
import type { Blocks, ExtentRange, LentBytes } from "../block/index.js"
import { isLent, streamOf } from "../base/pieces.js"
import type { ObjectKey } from "../base/ids.js"
import type { VersionRecord } from "../format/version-record.js"
import type { Tablet, TabletView } from "../tablet/index.js"
import type { Bucket, ByteRange, StoredBytes } from "./contract.js"
import { extentsOfRange, type ManifestAddress } from "./manifest-core.js"
import type { ReadPins } from "./read-pins.js"

/** Of an object of parts. */
export function manifestOf(
  bucket: Bucket,
  key: ObjectKey,
  { head, content }: VersionRecord,
): ManifestAddress | undefined {
  if (content.kind !== "segments") return undefined
  return { bucketId: bucket.id, key, multipartId: content.multipartId, parts: head.parts }
}

/** Where a range of a version's bytes lies; nowhere where they lie with its row. */
export function extentRangesOf(
  view: TabletView,
  bucket: Bucket,
  key: ObjectKey,
  record: VersionRecord,
  { first, lengthBytes }: ByteRange,
): Iterable<ExtentRange> {
  const { content } = record
  if (content.kind === "extent") return [{ extent: content.extent, offsetBytes: first, lengthBytes }]
  const address = manifestOf(bucket, key, record)
  return address === undefined ? [] : extentsOfRange(view, address, first, lengthBytes)
}

const NEVER = new AbortController().signal

/** A range of a version whose row has been read in this turn. */
export class StoredNow implements StoredBytes {
  constructor(
    private readonly tablet: Tablet,
    private readonly blocks: Blocks,
    private readonly pins: ReadPins,
    private readonly bucket: Bucket,
    private readonly key: ObjectKey,
    private readonly record: VersionRecord,
    private readonly range: ByteRange,
  ) {}

  now(): LentBytes | undefined {
    const { content } = this.record
    const { first, lengthBytes } = this.range
    if (content.kind !== "extent") return undefined
    const range = { extent: content.extent, offsetBytes: first, lengthBytes }
    const read = this.blocks.read(range, NEVER, "reader")
    return isLent(read) ? read : undefined
  }

  read(signal: AbortSignal): AsyncIterable<Uint8Array> {
    const pin = this.pins.open(this.tablet.committedPosition)
    const ranges = extentRangesOf(this.tablet.committed, this.bucket, this.key, this.record, this.range)
    return pin.during(streamOf(this.blocks.read(ranges, signal, "reader")))
  }
}
