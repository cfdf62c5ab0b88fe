/** The rows that jobs of deduplication compare and repair, in pages. Pure. */
import type { Family } from "@hayloft/base/rows/families.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { decodeBlockPlace } from "@hayloft/engine/format/objects/dedup-rows.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { bucketRowKey, objectRowKeyOf, parseObjectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersion } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import { sourcesOf } from "@hayloft/objects/door/rows.js"
import { isWithoutDigests } from "./digests-core.js"
import { bytesOfSegments } from "./released.js"

/** The work of a job on the rows of one family; a phase ends before the next one begins. */
export type Phase =
  /** Counts of references. */
  | "references"
  /** Segments that reference others. */
  | "segments"
  | "blockDigests"
  /** Digests that are compared with the bytes. */
  | "readDigests"
  | "blockIndex"
  /** Versions whose blocks have no digests. */
  | "current"
  | "versions"
  /** Counts of references to segments of objects that are gone. */
  | "released"
  /** Those to packs. */
  | "packs"

export const PHASES = {
  verify: ["references", "segments", "blockIndex", "blockDigests"],
  // Defects are removed before digests and entries are added.
  rebuild: ["segments", "references", "readDigests", "blockIndex", "current", "versions", "blockDigests"],
  compact: ["released"],
  unpack: ["packs"],
} as const satisfies Readonly<Record<string, readonly Phase[]>>
export type DedupJob = keyof typeof PHASES

/** A row to work on. */
export interface DedupRow {
  readonly phase: Phase
  readonly rowKey: RowKey
  /** The key of the row's object: a byte string. */
  readonly key: string
  readonly bytes: number
}

/** The next row of a job. */
interface RowPlace {
  readonly phase: number
  readonly from: RowKey
}

interface RowsPage {
  readonly found: readonly DedupRow[]
  readonly scanned: number
  /** It is undefined at the end of the phase. */
  readonly next: RowKey | undefined
}

interface PageLimits {
  /** The maximum of rows found; `rowsMax` limits the rows looked at. */
  readonly max: number
  readonly rowsMax: number
  /** The first row that is not looked at. */
  readonly before: RowKey | undefined
  /** The block size of new writes. */
  readonly blockBytes: number
}

function familyOf(phase: Phase): Family {
  if (phase === "released" || phase === "packs") return "references"
  return phase === "readDigests" ? "blockDigests" : phase
}

/** Rows of a phase from a key on. */
export const dedupRows = query(
  "DedupRows",
  (
    view,
    bucketId: BucketId,
    phase: Phase,
    from: RowKey,
    { max, rowsMax, before, blockBytes }: PageLimits,
  ): RowsPage => {
    const whole = suffixRange(bucketRowKey(bucketId))
    const range = { start: from, end: before ?? whole.end, expectedRows: Math.min(max, rowsMax) + 1 }
    const found: DedupRow[] = []
    let scanned = 0
    const cost = { rows: 0 }
    for (const [rowKey, row] of view.range(familyOf(phase), range)) {
      if (found.length >= max || scanned >= rowsMax || cost.rows >= rowsMax) return { found, scanned, next: rowKey }
      scanned += 1
      const item = itemOf(view, { phase, blockBytes, cost }, rowKey, row)
      if (item !== undefined) found.push({ phase, rowKey, ...item })
    }
    return { found, scanned, next: undefined }
  },
)

type Found = Pick<DedupRow, "key" | "bytes">

interface Looking extends Pick<PageLimits, "blockBytes"> {
  readonly phase: Phase
  /** Rows of segments that were looked at. */
  readonly cost: { rows: number }
}

/** @returns undefined if the job has nothing to do with the row. Work on a row that cannot be read reports that. */
function itemOf(view: RowView, of: Looking, rowKey: RowKey, row: MetadataRow): Found | undefined {
  try {
    return readItem(view, of, rowKey, row)
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return { key: of.phase === "blockIndex" ? "" : keyOf(rowKey), bytes: 0 }
    throw error
  }
}

const keyOf = (rowKey: RowKey): string => parseObjectRowKey(rowKey).key

function readItem(
  view: RowView,
  { phase, blockBytes, cost }: Looking,
  rowKey: RowKey,
  { value }: MetadataRow,
): Found | undefined {
  if (phase === "blockIndex") {
    const { key, lengthBytes } = decodeBlockPlace(value)
    return { key, bytes: lengthBytes }
  }
  const key = keyOf(rowKey)
  switch (phase) {
    case "references":
      return { key, bytes: 0 }
    case "blockDigests":
    case "readDigests":
      return isOfPart(rowKey) ? undefined : { key, bytes: 0 }
    case "packs": {
      const { pack, count } = decodeReferences(value)
      return pack !== undefined && count > 0 ? { key, bytes: pack.bytes } : undefined
    }
    case "released": {
      const { isReleased, count } = decodeReferences(value)
      return isReleased && count > 0 ? { key, bytes: bytesOfSegments(view, rowKey, cost) } : undefined
    }
    case "segments": {
      const sources = sourcesOf(decodeSegment(value))
      const bytes = sources.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
      return sources.length === 0 ? undefined : { key, bytes }
    }
    case "current":
    case "versions": {
      const record = decodeVersion(value)
      const { sizeBytes } = record.head
      return isWithoutDigests(view, objectRowKeyOf(rowKey), record, blockBytes, cost)
        ? { key, bytes: sizeBytes }
        : undefined
    }
  }
}

/** Digests of a part of an upload: their keys end with its number. */
const isOfPart = (rowKey: RowKey): boolean => parseObjectRowKey(rowKey).suffix.length < SEGMENT_SUFFIX_BYTES
/** Multipart id and offset. */
const SEGMENT_SUFFIX_BYTES = 24

const SEPARATOR = " "

export const textOfRowPlace = ({ phase, from }: RowPlace): string => `${phase}${SEPARATOR}${from}`

/** "": the first row of the bucket. */
export function placeOfText(text: string, bucketId: BucketId): RowPlace {
  if (text === "") return rowsFrom(0, bucketId)
  const at = text.indexOf(SEPARATOR)
  return { phase: Number(text.slice(0, at)), from: rowKeyOf(text.slice(at + 1)) }
}

/** All rows of a phase. */
export const rowsFrom = (phase: number, bucketId: BucketId): RowPlace => ({ phase, from: bucketRowKey(bucketId) })
