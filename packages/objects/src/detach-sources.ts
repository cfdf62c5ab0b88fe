/**
 * Gives an object bytes of its own in place of those that it references, some at a time. Clients see no change.
 *
 * Promises  At any moment the segments have all bytes. An interruption leaves unreferenced needles, which are removed like
 *           those of any upload.
 * Limits    `DETACH_LIMITS`; memory is the slab pool's.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId, type RowKey } from "@hayloft/base/ids.js"
import { KIB, MIB, OBJECT_BYTES_MAX, OFFSET_PART } from "@hayloft/base/limits.js"
import { versionOfRow } from "@hayloft/engine/format/objects/deleted-version.js"
import { streamOf, type PieceOwner } from "@hayloft/base/memory/pieces.js"
import { decodeSegment, type SegmentSource } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey, parseObjectRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import type { ObjectBackend } from "./backend.js"
import { bucketOfRow } from "./commands/bucket-rows-core.js"
import { readDetails, type FoundVersion } from "./commands/found-versions-core.js"
import { replaceReferring, replaceSource } from "./commands/reference-commands-core.js"
import { versionOfSegments } from "./queries/versions-of-bytes-core.js"
import type { UploadAddress } from "./commands/multipart-commands-core.js"
import type { BodySource, ByteRange } from "./contract.js"
import { dropSegments } from "./ended-upload.js"
import type { Ingest } from "./bodies/ingest.js"
import { segmentsOfRange } from "./bodies/object-reader.js"
import { headersOf } from "./queries/object-info-core.js"
import { extentsOfSegment, manifestOfSource, referencesRowKey, type ManifestAddress } from "./queries/manifest-core.js"
import type { ReadPin, ReadPins } from "./bodies/read-pins.js"

const DETACH_LIMITS = {
  /** The limit is for one new part. */
  bytesMax: 64 * MIB,
  /** For a part that references others, and for segments of kept versions: they cannot be split without a row. */
  keptBytesMax: OBJECT_BYTES_MAX,
  /** The limit is for the content type and the user metadata in a recovery header, which has more beside them. */
  noteBytesMax: 7 * KIB,
} as const

export interface DetachSeams extends Pick<ObjectBackend, "metadata" | "blocks"> {
  readonly pins: ReadPins
  readonly ingest: Ingest
}

function uploadOfRow(rowKey: RowKey): UploadAddress {
  const { bucketId, key, suffix } = parseObjectRowKey(rowKey)
  return { bucketId: parseBucketId(bucketId), key, multipartId: multipartIdOfSuffix(suffix) }
}

/**
 * A segment that references others, of a version that is there; undefined: it is not, or is no such segment. `stem`: only
 * references to these segments, by the key of what counts them.
 */
export const sourceAt = query("SourceAt", (view, rowKey: RowKey, stem?: RowKey) => {
  const { bucketId, key, multipartId } = uploadOfRow(rowKey)
  const segmentRow = view.get("segments", rowKey)
  const segment = segmentRow && decodeSegment(segmentRow.value)
  const version = versionOfSegments(view, objectRowKey(bucketId, key), multipartId)
  const bucket = view.get("buckets", bucketRowKey(bucketId))
  const isWanted = (each: SegmentSource) => stem === undefined || referencesRowKey(bucketId, each) === stem
  const part = segment?.referring?.find(each => isWanted(each.source))
  const whole = segment?.source
  const source = whole !== undefined && isWanted(whole) ? whole : part?.source
  if (segment === undefined || source === undefined || version === undefined || bucket === undefined) return undefined
  const { storageClass } = version.head
  const isWhole = part !== undefined || version.family === "deleted"
  const bytesMax = isWhole ? DETACH_LIMITS.keptBytesMax : DETACH_LIMITS.bytesMax
  const found = { bucketId, key, multipartId, segment, part, source, storageClass, bytesMax }
  return { ...found, bucket: bucketOfRow(bucket), note: noteOf(view, objectRowKey(bucketId, key), version) }
})

/**
 * Returns what the recovery header says, so that a rescue finds it without rows; nothing if that would be too long for
 * one.
 */
function noteOf(view: RowView, row: RowKey, { family, row: { value } }: FoundVersion) {
  const record = versionOfRow(family, value)
  const details = family === "deleted" ? (record.details ?? NO_DETAILS) : readDetails(view, row, record)
  const { contentType = "" } = headersOf(details)
  const lengthBytes = Buffer.byteLength(JSON.stringify([contentType, details.userMetadata]))
  const { userMetadata } = lengthBytes > DETACH_LIMITS.noteBytesMax ? NO_DETAILS : details
  return { contentType: lengthBytes > DETACH_LIMITS.noteBytesMax ? "" : contentType, userMetadata, lock: record.lock }
}

/**
 * Replaces the last bytes of a source, of one in these segments if there is a `stem`. Returns how many; 0: there is no such
 * source any more. Segments that a completion which has failed has left in an open upload are dropped. Throws `conflict`.
 */
export async function detachSome(
  seams: DetachSeams,
  rowKey: RowKey,
  signal: AbortSignal,
  stem?: RowKey,
): Promise<number> {
  const { metadata, pins, ingest } = seams
  const pin = pins.open(metadata.position)
  try {
    const found = await metadata.ask(sourceAt(rowKey, stem))
    if (found === undefined) {
      await dropSegments(metadata, uploadOfRow(rowKey))
      return 0
    }
    const { bucketId, bucket, key, multipartId, segment, source, part, storageClass, note } = found
    const lengthBytes = Math.min(source.lengthBytes, found.bytesMax)
    const range = { first: source.offsetBytes + source.lengthBytes - lengthBytes, lengthBytes }
    const body = bodyOfRange(seams, manifestOfSource(bucketId, source), range, { pin, signal })
    await ingest.run(
      {
        bucket,
        key,
        multipartId,
        inlineBytesMax: 0,
        client: { signal },
        body,
        storageClass,
        part: part?.partNumber ?? OFFSET_PART,
        checksumAlgorithm: undefined,
        ...note,
        isMoved: true,
      },
      ({ content, hints }) => {
        const { extent } = must(content.kind === "extent" ? content : undefined, "moved bytes are in blocks")
        const replaced = { bucketId, key, multipartId, segment, extent, hints }
        if (part !== undefined) return metadata.run(replaceReferring({ ...replaced, rowKey, part }))
        return metadata.run(replaceSource({ ...replaced, lengthBytes }))
      },
    )
    return lengthBytes
  } finally {
    pin.close()
  }
}

function bodyOfRange(
  { metadata, blocks }: DetachSeams,
  manifest: ManifestAddress,
  range: ByteRange,
  { pin, signal }: { readonly pin: ReadPin; readonly signal: AbortSignal },
): BodySource {
  const read = async function* (pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    for await (const { segment, ownOffsetBytes, lengthBytes } of segmentsOfRange(metadata, manifest, range)) {
      // Encrypted bytes are never referenced: their key is that of another object.
      if (segment.parts.some(({ extent }) => extent.isSealed))
        throw fail("corruptRecord", { what: "segment", field: "source" })
      for await (const bytes of streamOf(
        blocks.read(extentsOfSegment(segment, ownOffsetBytes, lengthBytes), signal, pieces),
      )) {
        pin.progress()
        yield bytes
      }
    }
  }
  return {
    lengthBytes: range.lengthBytes,
    gather: () => undefined,
    declaredChecksum: () => undefined,
    open: (pieces = "reader") => read(pieces),
  }
}
