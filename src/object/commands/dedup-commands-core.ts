/**
 * Deduplication: blocks that segments of the bucket have already are referenced instead of written. Pure. See decision 87.
 *
 * The digests of blocks are in rows beside the segments (family `blockDigests`), and an index finds them (`blockIndex`).
 * The index is a hint: what it says is checked against the digests whenever it is used. A decision that references segments
 * reads the digests that it relies on and the count of the references, so it conflicts with one that closes them: before
 * the collector deletes segments that have digests, it closes their references, and no further one is added.
 */
import { equalBytes } from "../../base/bytes.js"
import { fail } from "../../base/failures.js"
import type { BucketId, MultipartId, RowKey } from "../../base/ids.js"
import type { StorageClass } from "../../base/storage-class.js"
import {
  blockDigestsRowKey,
  blockIndexRowKey,
  decodeBlockDigests,
  decodeBlockPlace,
  digestsOfSegments,
  encodeBlockDigests,
  encodeBlockPlace,
  type BlockDigestsRecord,
  type BlockPlace,
} from "../../format/dedup-rows.js"
import type { EntryWrite } from "../../format/entry.js"
import type { Extent } from "../../format/extent.js"
import { decodeReferences, encodeSegment, type SegmentSource } from "../../format/records.js"
import { appendedRowKey, objectRowKey, parseObjectRowKey } from "../../format/row-key.js"
import { multipartIdOfSuffix } from "../../format/version-id.js"
import { command, query, type RowView } from "../../metadata/index.js"
import { firstOf } from "../../base/first-of.js"
import { referencesRowKey, type SegmentsName } from "../queries/manifest-core.js"
import { appendedPart } from "./append-commands-core.js"
import { requireBucket } from "./bucket-rows-core.js"
import type { ReadRow } from "./pending-deletion-commands-core.js"
import { addReferences } from "./reference-commands-core.js"
import type { RowEditor } from "./row-editor-core.js"
import { checkOwnUpload, insertVersion, type PutVersion, type Stored } from "./version-commands-core.js"

export const DEDUP_LIMITS = {
  /** Runs of new and of known blocks of one body: what follows is written. */
  runsMax: 64,
  /** Blocks that one row has the digests of: with the index that is as much as one command changes. */
  digestsPerRow: 256,
  /** Blocks that the command which makes an object adds to the index; further ones follow in others. */
  indexedAtOnce: 128,
  /** Blocks of one body or part whose digests are kept; further ones are written without. */
  digestsOfBody: 8_192,
  digestsOfPart: 2_048,
  /** Rows of digests that one object may rely on, so that its command stays within what a command may touch. */
  reliedOnMax: 64,
} as const

/** A block that is there, as far as the rows say. */
export interface KnownBlock extends BlockPlace {
  readonly uploadedParts: number
  /** The digests that say so. */
  readonly reliesOn: RowKey
}

/** Where a block is expected: behind one that was found. */
export type Follows = Pick<BlockPlace, "key" | "multipartId" | "offsetBytes">

export interface WantedBlock {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  readonly digest: Uint8Array
  readonly lengthBytes: number
  /** Looked at first: neighbouring blocks are one reference. */
  readonly follows: Follows | undefined
  /** Only `follows` is looked at. */
  readonly isShort: boolean
}

/** A block with these bytes; undefined: none is known. Whether it stays, a decision says. */
export const findKnownBlock = query("FindKnownBlock", (view, wanted: WantedBlock): KnownBlock | undefined => {
  const { bucketId, digest, follows, isShort } = wanted
  const next = follows && blockAt(view, wanted, follows)
  if (next !== undefined || isShort) return next
  const row = view.get("blockIndex", blockIndexRowKey(bucketId, digest))
  return row && blockAt(view, wanted, decodeBlockPlace(row.value))
})

function blockAt(
  view: RowView,
  { bucketId, storageClass, digest, lengthBytes }: WantedBlock,
  { key, multipartId, offsetBytes }: Follows,
): KnownBlock | undefined {
  const name = { key, multipartId }
  const found = digestsAt(view, bucketId, name, offsetBytes)
  if (found === undefined || found.record.storageClass !== storageClass) return undefined
  const { record, rowKey, startBytes } = found
  const at = offsetBytes - startBytes
  const known = record.digests[at / record.blockBytes]
  if (known === undefined || !equalBytes(known, digest)) return undefined
  if (Math.min(record.blockBytes, record.lengthBytes - at) !== lengthBytes) return undefined
  const references = view.get("references", referencesRowKey(bucketId, name))
  if (references !== undefined && decodeReferences(references.value).isClosed) return undefined
  return { ...name, offsetBytes, lengthBytes, uploadedParts: record.uploadedParts, reliesOn: rowKey }
}

/** The digests that begin at or before the offset. */
export function digestsAt(view: RowView, bucketId: BucketId, { key, multipartId }: SegmentsName, offsetBytes: number) {
  const row = objectRowKey(bucketId, key)
  const start = blockDigestsRowKey(row, multipartId, offsetBytes)
  const range = { start, end: digestsOfSegments(row, multipartId).end, presentOnly: true as const, expectedRows: 1 }
  const found = firstOf(view.range("blockDigests", range))
  if (found === undefined) return undefined
  const [rowKey, { value }] = found
  return { rowKey, record: decodeBlockDigests(value), startBytes: offsetOfRow(rowKey) }
}

/** Of the first block that a row has the digest of. */
export function offsetOfRow(rowKey: RowKey): number {
  const { suffix } = parseObjectRowKey(rowKey)
  const complement = Buffer.from(suffix.slice(MULTIPART_ID_BYTES), "latin1").readBigUInt64BE()
  return Number(0xffff_ffff_ffff_ffffn - complement)
}

const MULTIPART_ID_BYTES = 16

/** A run of blocks of a body. */
export type NewSegment =
  | { readonly kind: "own"; readonly offsetBytes: number; readonly extent: Extent }
  | { readonly kind: "source"; readonly offsetBytes: number; readonly source: SegmentSource }

/** The digests of some blocks of an object, each row's by its offset. */
export interface NewDigests {
  readonly offsetBytes: number
  readonly record: BlockDigestsRecord
}

export interface PutDeduplicated extends Omit<PutVersion, "uploadId" | "sharesWith"> {
  /** With content of segments, which are these. */
  readonly multipartId: MultipartId
  readonly segments: readonly NewSegment[]
  /** The rows by which the sources were found. */
  readonly reliesOn: readonly RowKey[]
  readonly digests: readonly NewDigests[]
}

/**
 * Makes a version of bytes that others of the bucket have and of new ones. Throws `conflict` if others do not have them any
 * more, and as `putVersion`.
 */
export const putDeduplicated = command<[put: PutDeduplicated], Stored>({
  name: "PutDeduplicated",
  touches: ({ bucketId, key, segments, reliesOn }) => [
    ["current", objectRowKey(bucketId, key)],
    ...reliesOn.map(rowKey => ["blockDigests", rowKey] as const),
    ...sourcesOf(segments).map(source => ["references", referencesRowKey(bucketId, source)] as const),
  ],
  decide(view, time, put) {
    const { bucketId, multipartId, segments, reliesOn } = put
    for (const segment of segments) if (segment.kind === "own") checkOwnUpload(time, segment.extent.uploadId)
    const { editor, stored } = insertVersion(view, time, put)
    for (const segment of segments) {
      const { offsetBytes } = segment
      const what =
        segment.kind === "own"
          ? { parts: [appendedPart(segment.extent, time.nowMs)] }
          : { parts: [], source: segment.source }
      const rowKey = appendedRowKey(editor.row, multipartId, offsetBytes)
      editor.put("segments", rowKey, encodeSegment({ offsetBytes, ...what }))
    }
    requireKnown(view, bucketId, reliesOn)
    addReferences(view, editor, sourcesOf(segments), put.version.storageClass)
    putDigests(editor, multipartId, put.digests)
    const indexed = put.digests.slice(0, indexedAtOnce(put.digests)).flatMap(({ offsetBytes, record }) => {
      return indexWrites(view, bucketId, blockDigestsRowKey(editor.row, multipartId, offsetBytes), record)
    })
    const finished = editor.finish()
    return { ...finished, writes: [...finished.writes, ...unique(indexed)], result: stored }
  },
})

const sourcesOf = (segments: readonly NewSegment[]): readonly SegmentSource[] =>
  segments.flatMap(segment => (segment.kind === "source" ? [segment.source] : []))

/**
 * Throws `conflict` if one of these rows of digests is gone, or their segments get no more references. The counts must be
 * written.
 */
export function requireKnown(view: RowView, bucketId: BucketId, rows: readonly RowKey[]): void {
  for (const rowKey of rows) {
    const { key, suffix } = parseObjectRowKey(rowKey)
    const references = view.get(
      "references",
      referencesRowKey(bucketId, { key, multipartId: multipartIdOfSuffix(suffix) }),
    )
    const isClosed = references !== undefined && decodeReferences(references.value).isClosed === true
    if (isClosed || view.get("blockDigests", rowKey) === undefined) throw fail("conflict")
  }
}

export function putDigests(editor: RowEditor, multipartId: MultipartId, digests: readonly NewDigests[]): void {
  for (const { offsetBytes, record } of digests)
    editor.put("blockDigests", blockDigestsRowKey(editor.row, multipartId, offsetBytes), encodeBlockDigests(record))
}

/**
 * Adds the blocks of a row of digests to the index. Others of the same bytes are not found any more. Does nothing if the
 * segments are gone or get no more references.
 */
export const indexBlocks = command<[bucketId: BucketId, rowKey: RowKey], void>({
  name: "IndexBlocks",
  touches: (_bucketId, rowKey) => [["blockDigests", rowKey]],
  decide(view, _time, bucketId, rowKey) {
    const NOTHING = { writes: [], result: undefined }
    const row = view.ifPresent("blockDigests", rowKey)
    if (row === undefined || requireBucket(view, bucketId).settings.includes("dedup") === false) return NOTHING
    const { key, suffix } = parseObjectRowKey(rowKey)
    const multipartId = multipartIdOfSuffix(suffix)
    const references = view.ifPresent("references", referencesRowKey(bucketId, { key, multipartId }))
    if (references !== undefined && decodeReferences(references.value).isClosed) return NOTHING
    return { writes: unique(indexWrites(view, bucketId, rowKey, decodeBlockDigests(row.value))), result: undefined }
  },
})

/** How many of these rows are added to the index in the command that makes them. */
export function indexedAtOnce(digests: readonly NewDigests[]): number {
  let blocks = 0
  const over = digests.findIndex(({ record }) => {
    blocks += record.digests.length
    return blocks > DEDUP_LIMITS.indexedAtOnce
  })
  return over < 0 ? digests.length : over
}

function indexWrites(
  view: RowView,
  bucketId: BucketId,
  rowKey: RowKey,
  record: BlockDigestsRecord,
): readonly EntryWrite[] {
  return placesOf(rowKey, record).map(({ digest, ...place }) => {
    const key = blockIndexRowKey(bucketId, digest)
    view.get("blockIndex", key)
    return { family: "blockIndex", key, value: encodeBlockPlace(place) }
  })
}

/** A block that an object has several times is found where it comes first. */
function unique(writes: readonly EntryWrite[]): readonly EntryWrite[] {
  const first = new Map<RowKey, EntryWrite>()
  for (const write of writes) if (!first.has(write.key)) first.set(write.key, write)
  return [...first.values()]
}

/** Drops a row of digests, and their blocks from the index as far as it names these. Does nothing if the row has changed. */
export const dropDigests = command<[bucketId: BucketId, row: ReadRow], void>({
  name: "DropDigests",
  grows: false,
  touches: (_bucketId, [family, rowKey]) => [[family, rowKey]],
  decide(view, _time, bucketId, [family, rowKey, value]) {
    const row = view.ifPresent(family, rowKey)
    if (row === undefined || !equalBytes(row.value, value)) return { writes: [], result: undefined }
    const writes: EntryWrite[] = [{ family, key: rowKey, value: undefined }]
    for (const { digest, key, multipartId } of placesOf(rowKey, decodeBlockDigests(value))) {
      const indexKey = blockIndexRowKey(bucketId, digest)
      const indexed = view.ifPresent("blockIndex", indexKey)
      const place = indexed && decodeBlockPlace(indexed.value)
      if (place?.key === key && place.multipartId === multipartId)
        writes.push({ family: "blockIndex", key: indexKey, value: undefined })
    }
    return { writes: unique(writes), result: undefined }
  },
})

/** The blocks of a row of digests with their places. */
export function placesOf(
  rowKey: RowKey,
  { blockBytes, lengthBytes, digests }: BlockDigestsRecord,
): readonly (BlockPlace & { readonly digest: Uint8Array })[] {
  const { key, suffix } = parseObjectRowKey(rowKey)
  const multipartId = multipartIdOfSuffix(suffix)
  const startBytes = offsetOfRow(rowKey)
  return digests.map((digest, i) => ({
    ...{ digest, key, multipartId, offsetBytes: startBytes + i * blockBytes },
    lengthBytes: Math.min(blockBytes, lengthBytes - i * blockBytes),
  }))
}
