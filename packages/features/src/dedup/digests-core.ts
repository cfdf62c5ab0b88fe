/** Versions whose blocks have no digests, and the command that gives them some. Pure. */
import type { BucketId, MultipartId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { WHOLE_BYTES_MAX } from "@hayloft/base/limits.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { decodeBlockDigests, digestsOfSegments } from "@hayloft/engine/format/objects/dedup-rows.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { multipartRowKey, objectRowKeyOf, parseObjectRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersion, type VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  bytesOfLine,
  lastSegment,
  partLinesOf,
  offsetOfRow,
  requireBucket,
  RowEditor,
  segmentsOf,
  type VersionMatch,
} from "@hayloft/objects/door/rows.js"
import { DEDUP_LIMITS, digestWrites, type NewDigests } from "./dedup-commands-core.js"

/** Neighbouring bytes without digests. */
export interface BytesWithoutDigests {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Returns true if bytes of the version's own, which could be found, have no digests. */
export const isWithoutDigests = (
  view: RowView,
  row: RowKey,
  record: VersionRecord,
  blockBytes: number,
  cost: { rows: number },
): boolean => runsWithout(view, row, record, blockBytes, cost).next().done !== true

/** Runs of bytes that have no digests, in no order; blocks of this size fill all but the last of a run. */
function* runsWithout(
  view: RowView,
  row: RowKey,
  record: VersionRecord,
  blockBytes: number,
  cost = { rows: 0 },
): Generator<BytesWithoutDigests> {
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
    cost.rows += 1
    let run: BytesWithoutDigests | undefined
    const segment = decodeSegment(value)
    if (segment.isOpen || segment.source !== undefined) continue
    let { offsetBytes } = segment
    for (const line of partLinesOf(segment)) {
      const lengthBytes = bytesOfLine(line)
      const extent = "extent" in line && isLong(lengthBytes, line.extent, blockBytes) ? line.extent : undefined
      const gaps = extent === undefined ? [] : known.gapsIn({ offsetBytes, lengthBytes }, extent)
      for (const gap of gaps) {
        if (run !== undefined && takes(run, gap.offsetBytes, blockBytes)) {
          run = { ...run, lengthBytes: run.lengthBytes + gap.lengthBytes }
          continue
        }
        if (run !== undefined) yield run
        run = gap
      }
      offsetBytes += lengthBytes
    }
    if (run !== undefined) yield run
  }
}

/** Returns true if a part goes on with the blocks of a run: a writer of the whole object would see the same ones. */
const takes = ({ offsetBytes, lengthBytes }: BytesWithoutDigests, nextBytes: number, blockBytes: number): boolean =>
  offsetBytes + lengthBytes === nextBytes &&
  lengthBytes % blockBytes === 0 &&
  lengthBytes < DEDUP_LIMITS.digestsPerRow * blockBytes

/** Shorter bodies are not deduplicated. */
const isLong = (lengthBytes: number, { isSealed }: Extent, blockBytes: number): boolean =>
  isSealed !== true && lengthBytes > Math.min(blockBytes, WHOLE_BYTES_MAX)

/** Ranges that have digests. */
function digestsIn(view: RowView, row: RowKey, multipartId: MultipartId) {
  const ranges: BytesWithoutDigests[] = []
  for (const [rowKey, { value }] of view.range("blockDigests", digestsOfSegments(row, multipartId))) {
    const { lengthBytes } = decodeBlockDigests(value)
    ranges.push({ offsetBytes: offsetOfRow(rowKey), lengthBytes })
  }
  // Row keys of greater offsets come first.
  ranges.reverse()
  return {
    /** Bytes of an extent without digests; blocks beyond those of a body whose digests are kept need none. */
    gapsIn({ offsetBytes, lengthBytes }: BytesWithoutDigests, { blockBytes }: Extent): readonly BytesWithoutDigests[] {
      const end = offsetBytes + lengthBytes
      const keptEnd = Math.min(end, offsetBytes + DEDUP_LIMITS.digestsOfBody * blockBytes)
      const gaps: BytesWithoutDigests[] = []
      let at = offsetBytes
      let i = firstEndingAfter(ranges, offsetBytes)
      for (let range = ranges[i]; range !== undefined && range.offsetBytes < end; range = ranges[(i += 1)]) {
        if (at < range.offsetBytes) gaps.push({ offsetBytes: at, lengthBytes: range.offsetBytes - at })
        at = range.offsetBytes + range.lengthBytes
      }
      const lastEnd = at === offsetBytes ? end : keptEnd
      if (at < lastEnd) gaps.push({ offsetBytes: at, lengthBytes: lastEnd - at })
      return gaps
    },
  }
}

/** The position of a range; all ranges are in order, and none overlap. */
function firstEndingAfter(ranges: readonly BytesWithoutDigests[], offsetBytes: number): number {
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const range = ranges[middle]
    if (range === undefined || range.offsetBytes + range.lengthBytes > offsetBytes) high = middle
    else low = middle + 1
  }
  return low
}

/** A version whose bytes are read to get digests. */
export interface WithoutDigests {
  readonly key: ObjectKey
  readonly storageClass: StorageClass
  readonly record: VersionRecord
  /** The first runs. */
  readonly runs: readonly BytesWithoutDigests[]
}

/** The first runs of a version that have no digests; undefined if there are none. */
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
    const runs: BytesWithoutDigests[] = []
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
  /** The id of the segments; for a version that has none yet, the id of new ones. */
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
    const finished = editor.finish()
    const given = digestWrites(editor.row, multipartId, digests)
    // Another job may have given some of them.
    for (const write of given) view.get(write.family, write.key)
    const writes = [...finished.writes, ...given]
    return { ...finished, writes, result: true }
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
