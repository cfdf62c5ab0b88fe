/**
 * Checks of deduplication rows by the rows of one moment: no write that is under way can look like damage. Pure.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import {
  blockIndexRowKey,
  decodeBlockDigests,
  decodeBlockPlace,
  type BlockPlace,
} from "@hayloft/engine/format/objects/dedup-rows.js"
import { decodeSegment, type SegmentSource } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { objectRowKeyOf, parseObjectRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { query, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  hasOwnBytes,
  placesOf,
  referencesRowKey,
  type SegmentsName,
  sourcesOf,
  versionOfSegments,
} from "@hayloft/objects/door/rows.js"
import { digestsAt } from "./dedup-commands-core.js"

const rangeText = ({ offsetBytes, lengthBytes }: Pick<SegmentSource, "offsetBytes" | "lengthBytes">): string =>
  `bytes ${offsetBytes} to ${offsetBytes + lengthBytes - 1}`

/** Checks that each reference of a segment is counted, and its bytes are there in full. */
export const checkSegment = query("CheckSegment", (view, bucketId: BucketId, rowKey: RowKey): string | undefined => {
  const row = view.get("segments", rowKey)
  if (row === undefined) return undefined
  for (const source of sourcesOf(decodeSegment(row.value))) {
    const of = textOfObjectKey(source.key)
    if (!isCounted(view, bucketId, source))
      return `${UNCOUNTED} ${of}: their row is missing, or says that there are none`
    if (!hasOwnBytes(view, bucketId, source)) return `${rangeText(source)} of ${of} are referenced and missing`
  }
  return undefined
})

export const UNCOUNTED = "references are not counted to segments of"

/** Rows that lack a count of the segment's references, and the storage class of the segment's object. */
export const uncountedOf = query("UncountedOf", (view, bucketId: BucketId, rowKey: RowKey) => {
  const row = view.get("segments", rowKey)
  const sources = row === undefined ? [] : sourcesOf(decodeSegment(row.value))
  const uncounted = sources.filter(source => !isCounted(view, bucketId, source))
  const rowKeys = [...new Set(uncounted.map(source => referencesRowKey(bucketId, source)))]
  const { suffix } = parseObjectRowKey(uploadOfPartRowKey(rowKey))
  const version = versionOfSegments(view, objectRowKeyOf(rowKey), multipartIdOfSuffix(suffix))
  return { rowKeys, storageClass: version?.head.storageClass ?? "STANDARD" }
})

function isCounted(view: RowView, bucketId: BucketId, source: SegmentsName): boolean {
  const row = view.get("references", referencesRowKey(bucketId, source))
  return row !== undefined && decodeReferences(row.value).count > 0
}

/** An entry of the index names a block whose digest is that of the entry. */
export const checkIndexed = query("CheckIndexed", (view, bucketId: BucketId, rowKey: RowKey): string | undefined => {
  const row = view.get("blockIndex", rowKey)
  if (row === undefined) return undefined
  const place = decodeBlockPlace(row.value)
  return isIndexed(view, bucketId, rowKey, place)
    ? undefined
    : `the index says that a block is ${rangeText(place)}: its digest differs`
})

function isIndexed(view: RowView, bucketId: BucketId, rowKey: RowKey, place: BlockPlace): boolean {
  const found = digestsAt(view, bucketId, place, place.offsetBytes)
  if (found === undefined) return false
  const block = placesOf(found.rowKey, found.record).find(({ offsetBytes }) => offsetBytes === place.offsetBytes)
  if (block === undefined || block.lengthBytes !== place.lengthBytes) return false
  return blockIndexRowKey(bucketId, block.digest) === rowKey
}

/** The entry of the index, if it is wrong. */
export const wrongEntry = query("WrongEntry", (view, bucketId: BucketId, rowKey: RowKey): Uint8Array | undefined => {
  const row = view.get("blockIndex", rowKey)
  if (row === undefined) return undefined
  try {
    return isIndexed(view, bucketId, rowKey, decodeBlockPlace(row.value)) ? undefined : row.value
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return row.value
    throw error
  }
})

/** A defect of a row of digests. */
type DigestsFinding =
  /** The blocks are not there. */
  | { readonly kind: "missing"; readonly reason: string }
  /**
   * The index lacks some of them, which is no defect: another object with the same block took its place in the index, and is
   * gone, or the write that adds them has not added them yet.
   */
  | { readonly kind: "unindexed" }

/**
 * Checks that the blocks of a row of digests are there. `isIndexedToo`: each digest is also in the index, at any place.
 */
export const checkDigests = query(
  "CheckDigests",
  (view, bucketId: BucketId, rowKey: RowKey, isIndexedToo: boolean): DigestsFinding | undefined => {
    const row = view.get("blockDigests", rowKey)
    if (row === undefined) return undefined
    const record = decodeBlockDigests(row.value)
    const places = placesOf(rowKey, record)
    const [first] = places
    if (first === undefined) return undefined
    const { key, suffix } = parseObjectRowKey(rowKey)
    const multipartId = multipartIdOfSuffix(suffix)
    const references = view.get("references", uploadOfPartRowKey(rowKey))
    const isClosed = references !== undefined && decodeReferences(references.value).isClosed === true
    const version = versionOfSegments(view, objectRowKeyOf(rowKey), multipartId)
    // Segments that are being deleted, and those of an object that is gone, need not be found.
    if (version === undefined && (references === undefined || isClosed)) return undefined
    const all = { ...first, uploadedParts: record.uploadedParts, lengthBytes: record.lengthBytes }
    if (!hasOwnBytes(view, bucketId, { ...all, key, multipartId }))
      return { kind: "missing", reason: `${rangeText(all)} have digests, and are missing` }
    if (!isIndexedToo || version === undefined || isClosed) return undefined
    const isUnindexed = ({ digest }: (typeof places)[number]): boolean =>
      view.get("blockIndex", blockIndexRowKey(bucketId, digest)) === undefined
    return places.some(isUnindexed) ? { kind: "unindexed" } : undefined
  },
)
