/** Key rows: interprets a snapshot's rows of one object key. Pure. */
import { parseBucketId, type BucketId, type MultipartId, type RowKey, type UploadId } from "@hayloft/base/ids.js"
import type { ExtentRange } from "@hayloft/engine/block/index.js"
import type { MetadataRecord } from "@hayloft/engine/format/metadata-backup.js"
import { decodeDeletedVersion } from "@hayloft/engine/format/objects/deleted-version.js"
import {
  decodePart,
  decodeSegment,
  decodeUpload,
  type PartRecord,
  type SegmentRecord,
  type SegmentSource,
  type UploadRecord,
} from "@hayloft/engine/format/records.js"
import { parseObjectRowKey, uploadOfRowKey, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import {
  decodeDetails,
  decodeVersion,
  NO_DETAILS,
  type Content,
  type VersionDetails,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { endOfSegment, extentsOfSegment, piecesOf } from "@hayloft/objects/index.js"

export interface KnownVersion {
  readonly record: VersionRecord
  readonly details: VersionDetails
  /** The payload of an inline object. */
  readonly payload: Uint8Array | undefined
  /** The parts of a multipart object, as far as the rows contain them. */
  readonly parts: readonly PartRecord[]
  /** The same, of an object whose segments are found by their offset, with those of other objects that it references. */
  readonly ranges: readonly ExtentRange[]
}

/** Segments that other objects reference: in the order of their offsets, as far as the rows contain them. */
export type Referenced = (bucketId: BucketId, source: SegmentSource) => readonly SegmentRecord[]

/** A multipart upload that was not completed. */
export interface UnfinishedUpload {
  readonly multipartId: MultipartId
  readonly upload: UploadRecord
  readonly parts: readonly PartRecord[]
}

export interface KnownKey {
  /** Oldest first. */
  readonly versions: readonly KnownVersion[]
  readonly unfinished: readonly UnfinishedUpload[]
  /** Uploads that some row references. */
  readonly named: ReadonlySet<UploadId>
  /** Uploads that were aborted. */
  readonly aborted: ReadonlySet<UploadId>
}

export function knownKeyOf(
  row: RowKey,
  records: readonly MetadataRecord[],
  referenced: Referenced = () => [],
): KnownKey {
  const of = (family: MetadataRecord["family"]) => records.filter(record => record.family === family)
  const details = new Map(of("details").map(({ key, value }) => [key, value]))
  const parts = byMultipart(of("parts"), ({ value }) => decodePart(value))
  const segments = inOrder(byMultipart(of("segments"), ({ value }) => decodeSegment(value)))
  const bucketId = parseBucketId(parseObjectRowKey(row).bucketId)
  const versions = new Map<number, KnownVersion>()
  for (const { value, payload } of [...of("versions"), ...of("current")]) {
    const record = decodeVersion(value)
    const { head, content } = record
    const apart = details.get(versionRowKey(row, head.order))
    versions.set(head.order, {
      record,
      details: record.details ?? (apart && decodeDetails(apart)) ?? NO_DETAILS,
      payload,
      parts: ofContent(content, segments).flatMap(segment => segment.parts),
      ranges: ofContent(content, segments)
        .flatMap(piecesOf)
        .flatMap(segment => rangesOf(segment, source => referenced(bucketId, source))),
    })
  }
  const unfinished = of("uploads").map(({ key, value }): UnfinishedUpload => {
    const multipartId = multipartIdOfKey(key)
    return { multipartId, upload: decodeUpload(value), parts: parts.get(multipartId) ?? [] }
  })
  const named = new Set<UploadId>()
  for (const { record } of versions.values()) {
    if (record.content.kind === "extent") named.add(record.content.extent.uploadId)
  }
  // An object that is kept was deleted: it is no version, and no upload without a row either.
  for (const { value } of of("deleted")) {
    const { content } = decodeDeletedVersion(value).record
    if (content.kind === "extent") named.add(content.extent.uploadId)
  }
  for (const each of [...parts.values(), ...[...segments.values()].flatMap(all => all.map(segment => segment.parts))])
    for (const { extent } of each) named.add(extent.uploadId)
  return {
    versions: [...versions.values()].sort((a, b) => a.record.head.order - b.record.head.order),
    unfinished,
    named,
    aborted: new Set(of("abortedUploads").map(({ key }) => uploadOfRowKey(key))),
  }
}

const multipartIdOfKey = (key: RowKey): MultipartId => multipartIdOfSuffix(parseObjectRowKey(key).suffix)

/** In the order of their keys: parts by number. */
function byMultipart<Row>(
  records: readonly MetadataRecord[],
  rowOf: (record: MetadataRecord) => Row,
): ReadonlyMap<MultipartId, readonly Row[]> {
  const found = new Map<MultipartId, Row[]>()
  for (const record of [...records].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const id = multipartIdOfKey(record.key)
    const list = found.get(id) ?? []
    list.push(rowOf(record))
    found.set(id, list)
  }
  return found
}

type Segments = ReadonlyMap<MultipartId, readonly SegmentRecord[]>

/** One segment after another: keys of those that are found by their offset are not in its order. */
const inOrder = (segments: Segments): Segments =>
  new Map(Array.from(segments, ([id, of]) => [id, [...of].sort((a, b) => a.offsetBytes - b.offsetBytes)] as const))

const ofContent = (content: Content, segments: Segments): readonly SegmentRecord[] =>
  content.kind === "segments" ? (segments.get(content.multipartId) ?? []) : []

function rangesOf(
  segment: SegmentRecord,
  referenced: (source: SegmentSource) => readonly SegmentRecord[],
): readonly ExtentRange[] {
  const { source, offsetBytes } = segment
  if (source === undefined) return [...extentsOfSegment(segment, offsetBytes, endOfSegment(segment) - offsetBytes)]
  const all = referenced(source).flatMap(piecesOf)
  return all.flatMap(each => [...extentsOfSegment(each, source.offsetBytes, source.lengthBytes)])
}
