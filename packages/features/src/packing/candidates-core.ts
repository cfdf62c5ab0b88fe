/** The versions of a bucket that can be packed, and why others are left out. Pure. */
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, type BucketId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { decodeSegment, type SegmentSource } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import {
  multipartRowKey,
  objectRowKeyOf,
  offsetRowKey,
  parseObjectRowKey,
  suffixRange,
} from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  writtenMsOf,
  type VersionDetails,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import { familiesOfSegments } from "@hayloft/objects/door/index.js"
import {
  mergedVersions,
  readDetails,
  referencesRowKey,
  referencesTo,
  rowsOfBucket,
} from "@hayloft/objects/door/rows.js"

export const CANDIDATE_LIMITS = {
  /** Rows of one query. */
  rowsPerSlice: 1_000,
} as const

/** Objects that were written before this are cold. */
interface Coldness {
  readonly beforeMs: number
  readonly maxBytes: number
}

/** The reason why a version is not packed. */
type LeftOut =
  | "packed"
  | "young"
  | "long"
  | "empty"
  | "encrypted"
  /** Other versions of its key have the same bytes. */
  | "shared"
  | "expiring"
  /** It was uploaded in parts, appended to, or consists of bytes of several objects. */
  | "parts"
  /** It is a list of segments, or an archived object that was restored. */
  | "special"
  /** Its bytes are damaged, or out of reach. */
  | "unreadable"
  /** There are not enough such objects for a pack. */
  | "few"

/** A version that is packed, if it is still the same then. */
export interface PackingCandidate {
  readonly key: ObjectKey
  readonly family: "current" | "versions"
  readonly rowKey: RowKey
  readonly row: MetadataRow
  readonly record: VersionRecord
  readonly details: VersionDetails
  /** The pack that has it, by the key of what counts its references. */
  readonly pack: RowKey | undefined
}

/** The choice of a pass for a version: it is left out, or packed. */
type Choice =
  | {
      readonly reason: LeftOut
      /** It cannot be packed again, and its pack is to go: it gets bytes of its own. */
      readonly leaves?: RowKey | undefined
    }
  | { readonly pack: RowKey | undefined }

function choiceOf(view: RowView, objectRow: RowKey, record: VersionRecord, { beforeMs, maxBytes }: Coldness): Choice {
  const { head, content } = record
  if (head.sizeBytes === 0) return { reason: "empty" }
  if (record.sealing !== undefined) return { reason: "encrypted" }
  if (record.largeObject !== undefined || record.restore !== undefined) return { reason: "special" }
  if (content.kind === "segments") {
    const first = firstSegment(view, objectRow, record)
    if (first === undefined) return { reason: "parts" }
    const { pack, isOnly } = first
    if (pack !== undefined) {
      const reason = isOnly ? "packed" : "parts"
      if (!pack.isLeft) return { reason }
      return isOnly && !head.isShared ? { pack: pack.rowKey } : { reason, leaves: pack.rowKey }
    }
  }
  if (head.sizeBytes > maxBytes) return { reason: "long" }
  if (head.isShared) return { reason: "shared" }
  if (record.expiresAtSeconds !== undefined) return { reason: "expiring" }
  if (Math.max(writtenMsOf(head), head.modifiedMs) > beforeMs) return { reason: "young" }
  return { pack: undefined }
}

interface PackOfSegment {
  /** The key of what counts its references. */
  readonly rowKey: RowKey
  /** Less than half of it is left, or it has another storage class than the version: the version does not stay in it. */
  readonly isLeft: boolean
}

interface FirstSegment {
  /** It is the version's only one, and no client sees it as one. */
  readonly isOnly: boolean
  /** The pack is undefined if the bytes are in none. */
  readonly pack: PackOfSegment | undefined
}

/** The first segment of a version that is packed or can be; undefined: it is another kind of object. */
function firstSegment(view: RowView, objectRow: RowKey, { content, head }: VersionRecord): FirstSegment | undefined {
  if (content.kind !== "segments") return undefined
  const { byOffset, multipartId } = content
  if (byOffset === undefined || byOffset.uploadedParts > 0) return undefined
  const row = view.get("segments", offsetRowKey(objectRow, multipartId, 0))
  const segment = row && decodeSegment(row.value)
  if (segment === undefined || segment.isOpen === true) return undefined
  const { source } = segment
  const isWhole = byOffset.lastOffset === 0
  if (source !== undefined) {
    const pack = packOf(view, objectRow, source, head.storageClass)
    return pack && { isOnly: isWhole && source.lengthBytes === head.sizeBytes, pack }
  }
  const stem = multipartRowKey(objectRow, multipartId)
  const own = { ...suffixRange(stem), expectedRows: 1 }
  const hasMore = familiesOfSegments().some(family => firstOf(view.range(family, own)) !== undefined)
  if (!isWhole || hasMore || referencesTo(view, stem) !== undefined) return undefined
  return { isOnly: true, pack: undefined }
}

function packOf(view: RowView, objectRow: RowKey, source: SegmentSource, its: StorageClass): PackOfSegment | undefined {
  const { bucketId } = parseObjectRowKey(objectRow)
  const rowKey = referencesRowKey(parseBucketId(bucketId), source)
  const row = view.get("references", rowKey)
  const { pack, count, storageClass } = (row && decodeReferences(row.value)) ?? {}
  if (pack === undefined || count === undefined) return undefined
  return { rowKey, isLeft: isSparse(pack.objects, count) || storageClass !== its }
}

interface CandidatesPage {
  readonly found: readonly PackingCandidate[]
  /** Versions that get bytes of their own, so that their packs can go; they are counted as left out. */
  readonly leaving: readonly PackingCandidate[]
  readonly leftOut: Partial<Record<LeftOut, number>>
  /** It is undefined at the end. */
  readonly next: RowKey | undefined
}

/** The candidates among some versions of a bucket, from a row on. A record that cannot be decoded is left out. */
export const candidatesFrom = query(
  "PackingCandidates",
  (view, bucketId: BucketId, start: RowKey, cold: Coldness, rowsMax: number): CandidatesPage => {
    const found: PackingCandidate[] = []
    const leaving: PackingCandidate[] = []
    const leftOut: Partial<Record<LeftOut, number>> = {}
    let rows = 0
    const { end } = rowsOfBucket(bucketId)
    for (const [rowKey, row] of mergedVersions(view, { start, end, expectedRows: rowsMax + 1 })) {
      if (rows === rowsMax) return { found, leaving, leftOut, next: rowKey }
      rows += 1
      const { candidate, reason } = looked(view, rowKey, row, cold)
      if (reason !== undefined) leftOut[reason] = (leftOut[reason] ?? 0) + 1
      if (candidate !== undefined) (reason === undefined ? found : leaving).push(candidate)
    }
    return { found, leaving, leftOut, next: undefined }
  },
)

interface Looked {
  readonly reason?: LeftOut | undefined
  /** With a reason: it gets bytes of its own. */
  readonly candidate?: PackingCandidate | undefined
}

function looked(view: RowView, rowKey: RowKey, row: MetadataRow, cold: Coldness): Looked {
  try {
    const record = decodeVersion(row.value)
    if (record.head.isMarker) return {}
    const objectRow = objectRowKeyOf(rowKey)
    const choice = choiceOf(view, objectRow, record, cold)
    const [reason, pack] = "reason" in choice ? [choice.reason, choice.leaves] : [undefined, choice.pack]
    if (reason !== undefined && pack === undefined) return { reason }
    const { key } = parseObjectRowKey(objectRow)
    const family = rowKey === objectRow ? "current" : "versions"
    const details = readDetails(view, objectRow, record)
    return { reason, candidate: { key, family, rowKey, row, record, details, pack } }
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    return { reason: "unreadable" }
  }
}

interface PacksPage {
  readonly packs: readonly {
    readonly rowKey: RowKey
    readonly isSparse: boolean
    readonly objects: number
    readonly bytes: number
    readonly count: number
  }[]
  readonly next: RowKey | undefined
}

/** The packs of a bucket, in pages of rows of references. */
export const packsFrom = query("PacksFrom", (view, bucketId: BucketId, start: RowKey, rowsMax: number): PacksPage => {
  const packs: PacksPage["packs"][number][] = []
  let rows = 0
  for (const [rowKey, { value }] of view.range("references", {
    ...rowsOfBucket(bucketId),
    start,
    expectedRows: rowsMax + 1,
  })) {
    if (rows === rowsMax) return { packs, next: rowKey }
    rows += 1
    const { pack, count } = decodeReferences(value)
    if (pack !== undefined && count > 0) packs.push({ rowKey, isSparse: isSparse(pack.objects, count), ...pack, count })
  }
  return { packs, next: undefined }
})

/** Less than half of the objects are left. */
const isSparse = (objects: number, count: number): boolean => count * 2 < objects
