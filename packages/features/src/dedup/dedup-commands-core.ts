/**
 * Deduplication: blocks that segments of the bucket have already are referenced instead of written. Pure. See decision 87.
 *
 * The digests of blocks are in rows beside the segments (family `blockDigests`), and an index finds them (`blockIndex`).
 * The index is a hint: what it says is checked against the digests whenever it is used. A decision that references segments
 * reads the digests that it relies on and the count of the references, so it conflicts with one that closes them: before
 * the collector deletes segments that have digests, it closes their references, and no further one is added.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { BucketId, MultipartId, RowKey } from "@hayloft/base/ids.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
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
} from "@hayloft/engine/format/objects/dedup-rows.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { encodeSegment, type SegmentSource } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { objectRowKey, offsetRowKey, uploadOfPartRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  segmentPart,
  checkOwnUpload,
  hasOwnBytes,
  insertVersion,
  offsetOfRow,
  placesOf,
  type PutVersion,
  referencesRowKey,
  requireBucket,
  type SegmentsName,
  type Stored,
  uniqueBlocks,
  withReferences,
} from "@hayloft/objects/door/rows.js"

export const DEDUP_LIMITS = {
  /** Runs of new and of known blocks of one body: what follows is written. */
  runsMax: 64,
  /** Blocks whose digests fit in one row: with their index entries, as many rows as one command changes. */
  digestsPerRow: 256,
  /** Blocks that the command which makes an object adds to the index; further ones follow in others. */
  indexedAtOnce: 128,
  /** Blocks of one body or part whose digests are kept; further ones are written without. */
  digestsOfBody: 8_192,
  digestsOfPart: 2_048,
  /** Rows of digests that one object may rely on, so that its command stays within what a command may touch. */
  reliedOnMax: 64,
  /** The same limit for the parts of one segment of a completed upload. */
  reliedOnOfSegment: 256,
  /** Rows of digests of parts that one command writes: beside a segment with the longest keys they are within an entry. */
  digestRowsAtOnce: 32,
  /** Blocks of parts that one query looks for; those of a single part may be more. */
  blocksPerQuery: 256,
} as const

/** A block that exists, according to the rows. */
export interface KnownBlock extends BlockPlace {
  readonly uploadedParts: number
  /** The digests that show it. */
  readonly reliesOn: RowKey
}

/** The expected place of a block: behind one that was found. */
type Follows = Pick<BlockPlace, "key" | "multipartId" | "offsetBytes">

export interface WantedBlock {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  readonly digest: Uint8Array
  readonly lengthBytes: number
  /** The place to look at first: neighbouring blocks are one reference. */
  readonly follows: Follows | undefined
  /** The search looks at `follows` only. */
  readonly isShort: boolean
}

/** Finds a stored block with these bytes; undefined if the index has no such block. The command checks that it is still there. */
export const findKnownBlock = query("FindKnownBlock", (view, wanted: WantedBlock): KnownBlock | undefined => {
  const { digest, lengthBytes, follows, isShort } = wanted
  const run = { ...wanted, digests: [digest], blockBytes: lengthBytes }
  const found = (follows && runAt(view, run, follows)) ?? (isShort ? undefined : indexedRun(view, run))
  if (found === undefined) return undefined
  const { reliesOn, ...source } = found
  return { ...source, reliesOn: must(reliesOn[0], "one row has the digest") }
})

/** Neighbouring blocks with these digests. */
interface WantedRun {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  readonly digests: readonly Uint8Array[]
  readonly blockBytes: number
  readonly lengthBytes: number
}

/** Known blocks that are neighbours, and the digests that say so. */
export interface KnownRun extends SegmentSource {
  readonly reliesOn: readonly RowKey[]
}

/** A part whose blocks are looked for. */
type WantedPart = Pick<WantedRun, "digests" | "blockBytes" | "lengthBytes">

interface WantedParts {
  readonly bucketId: BucketId
  readonly storageClass: StorageClass
  /** Shorter parts are found only behind others. */
  readonly shortBytes: number
  /** The expected place of the first part. */
  readonly follows: Follows | undefined
  readonly parts: readonly WantedPart[]
}

/** For each part the neighbours that have its bytes, if all of them are known. */
export const findKnownParts = query(
  "FindKnownParts",
  (view, wanted: WantedParts): readonly (KnownRun | undefined)[] => {
    const { bucketId, storageClass, shortBytes, parts } = wanted
    let { follows } = wanted
    return parts.map(part => {
      const run = { bucketId, storageClass, ...part }
      const next = follows && runAt(view, run, follows)
      const found = next ?? (part.lengthBytes < shortBytes ? undefined : indexedRun(view, run))
      follows = found && { ...found, offsetBytes: found.offsetBytes + found.lengthBytes }
      return found
    })
  },
)

function indexedRun(view: RowView, run: WantedRun): KnownRun | undefined {
  const [first] = run.digests
  const row = first && view.get("blockIndex", blockIndexRowKey(run.bucketId, first))
  return row && runAt(view, run, decodeBlockPlace(row.value))
}

/** The run, if the blocks from a place on are its blocks, are there, and get more references. */
function runAt(view: RowView, run: WantedRun, { key, multipartId, offsetBytes }: Follows): KnownRun | undefined {
  const { bucketId, storageClass, digests, blockBytes, lengthBytes } = run
  if (digests.length === 0) return undefined
  const name = { key, multipartId }
  const reliesOn: RowKey[] = []
  let uploadedParts = 0
  for (let at = 0; at < digests.length;) {
    const place = offsetBytes + at * blockBytes
    const found = digestsAt(view, bucketId, name, place)
    if (found?.record.storageClass !== storageClass) return undefined
    const equal = equalBlocks(found, place, {
      digests: digests.slice(at),
      blockBytes,
      lengthBytes: lengthBytes - at * blockBytes,
    })
    if (equal === 0) return undefined
    reliesOn.push(found.rowKey)
    uploadedParts = found.record.uploadedParts
    at += equal
  }
  const references = view.get("references", referencesRowKey(bucketId, name))
  if (references !== undefined && decodeReferences(references.value).isClosed) return undefined
  const source = { ...name, uploadedParts, offsetBytes, lengthBytes }
  return hasOwnBytes(view, bucketId, source) ? { ...source, reliesOn } : undefined
}

/** The number of wanted blocks that the row has from a place on, up to its last one; 0 if one differs. */
function equalBlocks(
  { record, startBytes }: { readonly record: BlockDigestsRecord; readonly startBytes: number },
  place: number,
  { digests, blockBytes, lengthBytes }: WantedPart,
): number {
  const first = (place - startBytes) / record.blockBytes
  const count = Math.min(digests.length, record.digests.length - first)
  if (!Number.isInteger(first) || count <= 0) return 0
  for (let i = 0; i < count; i += 1) {
    const [known, wanted] = [record.digests[first + i], digests[i]]
    const knownBytes = Math.min(record.blockBytes, record.lengthBytes - (first + i) * record.blockBytes)
    if (knownBytes !== Math.min(blockBytes, lengthBytes - i * blockBytes)) return 0
    if (known === undefined || wanted === undefined || !equalBytes(known, wanted)) return 0
  }
  return count
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
          ? { parts: [segmentPart(segment.extent, time.nowMs)] }
          : { parts: [], source: segment.source }
      const rowKey = offsetRowKey(editor.row, multipartId, offsetBytes)
      editor.put("segments", rowKey, encodeSegment({ offsetBytes, ...what }))
    }
    requireKnown(view, reliesOn)
    const references = withReferences(view, bucketId, sourcesOf(segments), put.version.storageClass)
    const indexed = put.digests.slice(0, indexedAtOnce(put.digests)).flatMap(({ offsetBytes, record }) => {
      return indexWrites(view, bucketId, blockDigestsRowKey(editor.row, multipartId, offsetBytes), record)
    })
    const finished = editor.finish()
    const digests = digestWrites(editor.row, multipartId, put.digests)
    return {
      ...finished,
      writes: [...finished.writes, ...references, ...digests, ...uniqueBlocks(indexed)],
      result: stored,
    }
  },
})

const sourcesOf = (segments: readonly NewSegment[]): readonly SegmentSource[] =>
  segments.flatMap(segment => (segment.kind === "source" ? [segment.source] : []))

/**
 * Throws `conflict` if one of these rows of digests is gone, or their segments get no more references. The counts must be
 * written.
 */
export function requireKnown(view: RowView, rows: readonly RowKey[]): void {
  for (const rowKey of rows) {
    const references = view.get("references", uploadOfPartRowKey(rowKey))
    const isClosed = references !== undefined && decodeReferences(references.value).isClosed === true
    if (isClosed || view.get("blockDigests", rowKey) === undefined) throw fail("conflict")
  }
}

/** Writes the digests of new segments. */
export const digestWrites = (row: RowKey, multipartId: MultipartId, digests: readonly NewDigests[]): EntryWrite[] =>
  digests.map(({ offsetBytes, record }) => ({
    family: "blockDigests",
    key: blockDigestsRowKey(row, multipartId, offsetBytes),
    value: encodeBlockDigests(record),
  }))

/**
 * Adds the blocks of rows of digests to the index, in place of others with the same bytes. Leaves out rows that are
 * gone, and those of segments that get no more references.
 */
export const indexBlocks = command<[bucketId: BucketId, rows: readonly RowKey[]], void>({
  name: "IndexBlocks",
  touches: (_bucketId, rows) => rows.map(rowKey => ["blockDigests", rowKey] as const),
  decide(view, _time, bucketId, rows) {
    if (!requireBucket(view, bucketId).settings.includes("dedup")) return { writes: [], result: undefined }
    const writes = rows.flatMap(rowKey => {
      const row = view.ifPresent("blockDigests", rowKey)
      const references = view.ifPresent("references", uploadOfPartRowKey(rowKey))
      const isClosed = references !== undefined && decodeReferences(references.value).isClosed === true
      return row === undefined || isClosed ? [] : indexWrites(view, bucketId, rowKey, decodeBlockDigests(row.value))
    })
    return { writes: uniqueBlocks(writes), result: undefined }
  },
})

/** The number of these rows that the command which makes them adds to the index. */
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

export interface DigestRows {
  readonly rows: readonly RowKey[]
  /** There may be more from here on. */
  readonly next: RowKey | undefined
}

/** Rows of digests of segments, as many as one command adds to the index, from a row on. */
export const digestRowsOf = query(
  "DigestRowsOf",
  (view, bucketId: BucketId, { key, multipartId }: SegmentsName, from?: RowKey): DigestRows => {
    const range = digestsOfSegments(objectRowKey(bucketId, key), multipartId)
    const rows: RowKey[] = []
    let blocks = 0
    for (const [rowKey, { value }] of view.range("blockDigests", { ...range, start: from ?? range.start })) {
      blocks += decodeBlockDigests(value).digests.length
      if (rows.length > 0 && blocks > DEDUP_LIMITS.digestsPerRow) return { rows, next: rowKey }
      rows.push(rowKey)
    }
    return { rows, next: undefined }
  },
)
