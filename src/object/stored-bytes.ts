/** Bytes of a version that lie in blocks: which ranges of which extents they are. */
import type { ExtentRange } from "../block/index.js"
import type { ObjectKey } from "../base/ids.js"
import type { VersionRecord } from "../format/version-record.js"
import type { TabletView } from "../tablet/index.js"
import type { Bucket, ByteRange } from "./contract.js"
import { extentsOfRange, type ManifestAddress } from "./manifest-core.js"

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
