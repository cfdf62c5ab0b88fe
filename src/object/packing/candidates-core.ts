/** The versions of a bucket that can be packed, and why others are left out. Pure. */
import { parseBucketId, type BucketId, type ObjectKey, type RowKey } from "../../base/ids.js"
import { firstOf } from "../../base/first-of.js"
import type { StorageClass } from "../../base/storage-class.js"
import { decodeSegment } from "../../format/records.js"
import { decodeReferences } from "../../format/references-record.js"
import {
  appendedRowKey,
  multipartRowKey,
  objectRowKeyOf,
  parseObjectRowKey,
  suffixRange,
} from "../../format/row-key.js"
import { decodeVersion, writtenMsOf, type VersionDetails, type VersionRecord } from "../../format/version-record.js"
import { query, type MetadataRow, type RowView } from "../../metadata/index.js"
import { readDetails } from "../commands/found-versions-core.js"
import { rowsOfBucket } from "../lifecycle/walk-core.js"
import { referencesRowKey, referencesTo } from "../queries/manifest-core.js"
import { mergedVersions } from "../queries/merged-versions.js"

export const CANDIDATE_LIMITS = {
  /** Rows of one query. */
  rowsPerSlice: 1_000,
  /** Packs with little left whose objects one pass packs again. */
  sparseMax: 1_000,
} as const

/** Objects that were written before this are cold. */
interface Coldness {
  readonly beforeMs: number
  readonly maxBytes: number
}

/** Why a version is not packed. */
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
export interface Candidate {
  readonly key: ObjectKey
  readonly family: "current" | "versions"
  readonly rowKey: RowKey
  readonly row: MetadataRow
  readonly record: VersionRecord
  readonly details: VersionDetails
  /** The pack that has it, by the key of what counts its references. */
  readonly pack: RowKey | undefined
}

/** @returns undefined for a version that can be packed. `sparse`: packs whose objects are packed again. */
function whyNot(
  view: RowView,
  objectRow: RowKey,
  record: VersionRecord,
  { beforeMs, maxBytes }: Coldness,
  sparse: ReadonlySet<RowKey>,
): { readonly reason: LeftOut } | { readonly pack: RowKey | undefined } {
  const { head, content } = record
  if (head.sizeBytes === 0) return { reason: "empty" }
  if (record.sealing !== undefined) return { reason: "encrypted" }
  if (record.largeObject !== undefined || record.restore !== undefined) return { reason: "special" }
  if (content.kind === "segments") {
    const own = segmentOf(view, objectRow, record)
    if (own === undefined) return { reason: "parts" }
    if (own.pack !== undefined)
      return isPackedAgain(own, head.storageClass, sparse) ? { pack: own.pack } : { reason: "packed" }
  }
  if (head.sizeBytes > maxBytes) return { reason: "long" }
  if (head.isShared) return { reason: "shared" }
  if (record.expiresAtSeconds !== undefined) return { reason: "expiring" }
  if (Math.max(writtenMsOf(head), head.modifiedMs) > beforeMs) return { reason: "young" }
  return { pack: undefined }
}

interface OnlySegment {
  /** The pack that has its bytes. */
  readonly pack: RowKey | undefined
  /** Of the pack. */
  readonly storageClass: StorageClass | undefined
}

/** The only segment of a version that no client sees as one; undefined: it is another kind of object. */
function segmentOf(view: RowView, objectRow: RowKey, { content, head }: VersionRecord): OnlySegment | undefined {
  if (content.kind !== "segments") return undefined
  const { appended, multipartId } = content
  if (appended === undefined || appended.uploadedParts > 0 || appended.lastOffset > 0) return undefined
  const row = view.get("segments", appendedRowKey(objectRow, multipartId, 0))
  const segment = row && decodeSegment(row.value)
  if (segment === undefined || segment.isOpen === true) return undefined
  const { source } = segment
  if (source === undefined) {
    const stem = multipartRowKey(objectRow, multipartId)
    const isAppended = firstOf(view.range("appends", { ...suffixRange(stem), expectedRows: 1 })) !== undefined
    const isReferenced = referencesTo(view, stem) !== undefined
    return isAppended || isReferenced ? undefined : { pack: undefined, storageClass: undefined }
  }
  const { bucketId } = parseObjectRowKey(objectRow)
  const pack = referencesRowKey(parseBucketId(bucketId), source)
  const references = view.get("references", pack)
  const counted = references && decodeReferences(references.value)
  if (counted?.pack === undefined || source.lengthBytes !== head.sizeBytes) return undefined
  return { pack, storageClass: counted.storageClass }
}

const isPackedAgain = ({ pack, storageClass }: OnlySegment, its: StorageClass, sparse: ReadonlySet<RowKey>): boolean =>
  pack !== undefined && (sparse.has(pack) || storageClass !== its)

interface CandidatesPage {
  readonly found: readonly Candidate[]
  readonly leftOut: Partial<Record<LeftOut, number>>
  /** Undefined at the end. */
  readonly next: RowKey | undefined
}

/** The candidates among some versions of a bucket, from a row on. A row that cannot be read is left out. */
export const candidatesFrom = query(
  "PackingCandidates",
  (
    view,
    bucketId: BucketId,
    start: RowKey,
    cold: Coldness,
    sparse: readonly RowKey[],
    rowsMax: number,
  ): CandidatesPage => {
    const sparseSet = new Set(sparse)
    const found: Candidate[] = []
    const leftOut: Partial<Record<LeftOut, number>> = {}
    let rows = 0
    const { end } = rowsOfBucket(bucketId)
    for (const [rowKey, row] of mergedVersions(view, { start, end, expectedRows: rowsMax + 1 })) {
      if (rows === rowsMax) return { found, leftOut, next: rowKey }
      rows += 1
      const record = decodeVersion(row.value)
      if (record.head.isMarker) continue
      const objectRow = objectRowKeyOf(rowKey)
      const why = whyNot(view, objectRow, record, cold, sparseSet)
      if ("reason" in why) {
        leftOut[why.reason] = (leftOut[why.reason] ?? 0) + 1
        continue
      }
      const { key } = parseObjectRowKey(objectRow)
      const family = rowKey === objectRow ? "current" : "versions"
      const details = readDetails(view, objectRow, record)
      found.push({ key, family, rowKey, row, record, details, pack: why.pack })
    }
    return { found, leftOut, next: undefined }
  },
)

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
