/** Versions whose blocks have no digests, and the command that gives them some. Pure. */
import type { BucketId, MultipartId, ObjectKey, RowKey } from "../../base/ids.js"
import { WHOLE_BYTES_MAX } from "../../base/limits.js"
import type { StorageClass } from "../../base/storage-class.js"
import { blocksOf, decodeBlockDigests, digestsOfSegments } from "../../format/dedup-rows.js"
import type { Extent } from "../../format/extent.js"
import { decodeSegment } from "../../format/records.js"
import { multipartRowKey, objectRowKeyOf, parseObjectRowKey, suffixRange } from "../../format/row-key.js"
import { plainBytesOf } from "../../format/sealing.js"
import { decodeVersion, type VersionRecord } from "../../format/version-record.js"
import { command, query, type RowView } from "../../metadata/index.js"
import { lastSegment, segmentsOf } from "../commands/append-commands-core.js"
import { requireBucket } from "../commands/bucket-rows-core.js"
import { DEDUP_LIMITS, offsetOfRow, putDigests, type NewDigests } from "../commands/dedup-commands-core.js"
import type { VersionMatch } from "../commands/found-versions-core.js"
import { RowEditor } from "../commands/row-editor-core.js"
import { ownPartsOf } from "./own-parts-core.js"

/** Neighbouring bytes without digests. */
export interface Run {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Whether bytes of the version's own, which could be found, have no digests. */
export const isWithoutDigests = (view: RowView, row: RowKey, record: VersionRecord, blockBytes: number): boolean =>
  runsWithout(view, row, record, blockBytes).next().done !== true

/** Runs of bytes that have no digests, in no order; blocks of this size fill all but the last of a run. */
function* runsWithout(view: RowView, row: RowKey, record: VersionRecord, blockBytes: number): Generator<Run> {
  const { head, content, sealing, largeObject } = record
  if (head.isMarker || sealing !== undefined || largeObject !== undefined) return
  if (content.kind === "extent") {
    const { sizeBytes: lengthBytes, isShared } = head
    // Bytes that versions share stay as they are.
    if (!isShared && isLong(lengthBytes, content.extent, blockBytes)) yield { offsetBytes: 0, lengthBytes }
    return
  }
  if (content.kind !== "segments") return
  const known = digestsIn(view, row, content.multipartId)
  for (const [, { value }] of view.range("segments", suffixRange(multipartRowKey(row, content.multipartId)))) {
    let run: Run | undefined
    const segment = decodeSegment(value)
    if (segment.isOpen) continue
    for (const { part, offsetBytes } of ownPartsOf(segment)) {
      const lengthBytes = plainBytesOf(part.extent)
      const isWanted = isLong(lengthBytes, part.extent, blockBytes) && !known.has(offsetBytes)
      const isNext = run !== undefined && run.offsetBytes + run.lengthBytes === offsetBytes
      const isRoom = run !== undefined && run.lengthBytes < DEDUP_LIMITS.digestsPerRow * blockBytes
      // A writer of the whole object would see the same blocks.
      if (run !== undefined && isWanted && isNext && isRoom && run.lengthBytes % blockBytes === 0) {
        run = { ...run, lengthBytes: run.lengthBytes + lengthBytes }
        continue
      }
      if (run !== undefined) yield run
      run = isWanted ? { offsetBytes, lengthBytes } : undefined
    }
    if (run !== undefined) yield run
  }
}

/** Shorter bodies are not deduplicated. */
const isLong = (lengthBytes: number, { isSealed }: Extent, blockBytes: number): boolean =>
  isSealed !== true && lengthBytes > Math.min(blockBytes, WHOLE_BYTES_MAX)

/** Ranges that have digests. */
function digestsIn(view: RowView, row: RowKey, multipartId: MultipartId) {
  const ranges: Run[] = []
  for (const [rowKey, { value }] of view.range("blockDigests", digestsOfSegments(row, multipartId))) {
    const { lengthBytes } = decodeBlockDigests(value)
    ranges.push({ offsetBytes: offsetOfRow(rowKey), lengthBytes })
  }
  // Row keys of greater offsets come first.
  ranges.reverse()
  return {
    has(offsetBytes: number): boolean {
      let [low, high] = [0, ranges.length]
      while (low < high) {
        const middle = (low + high) >> 1
        const range = ranges[middle]
        if (range === undefined || range.offsetBytes > offsetBytes) high = middle
        else low = middle + 1
      }
      const range = ranges[low - 1]
      return range !== undefined && offsetBytes < range.offsetBytes + range.lengthBytes
    },
  }
}

/** A version whose bytes are read to get digests. */
export interface WithoutDigests {
  readonly key: ObjectKey
  readonly storageClass: StorageClass
  readonly record: VersionRecord
  /** The first ones. */
  readonly runs: readonly Run[]
}

/** Undefined: nothing of it is without digests any more. */
export const versionWithoutDigests = query(
  "VersionWithoutDigests",
  (
    view,
    family: VersionMatch["family"],
    rowKey: RowKey,
    blockBytes: number,
    bytesMax: number,
  ): WithoutDigests | undefined => {
    const row = view.get(family, rowKey)
    if (row === undefined) return undefined
    const record = decodeVersion(row.value)
    const runs: Run[] = []
    let bytes = 0
    for (const run of runsWithout(view, objectRowKeyOf(rowKey), record, blockBytes)) {
      if (runs.length > 0 && bytes + run.lengthBytes > bytesMax) break
      runs.push(run)
      bytes += run.lengthBytes
    }
    if (runs.length === 0) return undefined
    return { key: parseObjectRowKey(rowKey).key, storageClass: record.head.storageClass, record, runs }
  },
)

interface GiveDigests {
  readonly bucketId: BucketId
  readonly family: VersionMatch["family"]
  readonly rowKey: RowKey
  /** The version as it was read. */
  readonly record: VersionRecord
  /** Of the segments; of a version that has none yet, new ones. */
  readonly multipartId: MultipartId
  readonly digests: readonly NewDigests[]
}

/**
 * Stores digests of a version's bytes; one that is an extent has segments from then on. Returns false, and does nothing, if
 * the version is gone, has other bytes, or the bucket is not deduplicated any more.
 */
export const giveDigests = command<[give: GiveDigests], boolean>({
  name: "GiveDigests",
  touches: ({ family, rowKey }) => [
    ["current", objectRowKeyOf(rowKey)],
    [family, rowKey],
  ],
  decide(view, time, { bucketId, family, rowKey, record: before, multipartId, digests }) {
    const NOTHING = { writes: [], result: false }
    if (!requireBucket(view, bucketId).settings.includes("dedup")) return NOTHING
    const { key } = parseObjectRowKey(rowKey)
    const editor = new RowEditor(view, time, bucketId, key)
    const row = view.ifPresent(family, rowKey)
    const record = row && decodeVersion(row.value)
    if (row === undefined || record === undefined || !isSameBytes(before, record)) return NOTHING
    const found: VersionMatch = { head: record.head, family, rowKey, row }
    if (record.content.kind === "segments") editor.rewrite(found, same => same)
    else {
      lastSegment(view, editor, time.nowMs, { moved: undefined }, record, multipartId)
      editor.setContent(found, segmentsOf(multipartId, { lastOffset: 0, uploadedParts: 0 }))
    }
    putDigests(editor, multipartId, digests)
    return { ...editor.finish(), result: true }
  },
})

/** Bytes only grow at their end. */
function isSameBytes(before: VersionRecord, now: VersionRecord): boolean {
  const [a, b] = [before.content, now.content]
  if (now.sealing !== undefined || now.head.storageClass !== before.head.storageClass) return false
  if (a.kind === "segments") return b.kind === "segments" && a.multipartId === b.multipartId
  const isSameExtent = a.kind === "extent" && b.kind === "extent" && a.extent.uploadId === b.extent.uploadId
  return isSameExtent && !now.head.isShared && b.extent.isSealed !== true
}

/** The rows of digests that a run gets. */
export function rowsOfRun(
  { offsetBytes, lengthBytes }: Run,
  blockBytes: number,
  storageClass: StorageClass,
  uploadedParts: number,
  digests: readonly Uint8Array[],
): readonly NewDigests[] {
  const { digestsPerRow } = DEDUP_LIMITS
  const rows: NewDigests[] = []
  for (let at = 0; at < blocksOf({ blockBytes, lengthBytes }); at += digestsPerRow) {
    const length = Math.min(digestsPerRow * blockBytes, lengthBytes - at * blockBytes)
    const record = { storageClass, uploadedParts, blockBytes, lengthBytes: length }
    rows.push({
      offsetBytes: offsetBytes + at * blockBytes,
      record: { ...record, digests: digests.slice(at, at + digestsPerRow) },
    })
  }
  return rows
}
