/**
 * Decides what to do with the open end of an object with appends: which neighbouring segments become one part of
 * erasure-coded blocks, and which become one longer part of copies. Pure.
 *
 * Bytes are copied once when enough of them are sealed. Appends of a few bytes would leave thousands of parts until then, so
 * neighbours of about the same length are merged, as in a log-structured merge tree: a byte is copied once for each factor of
 * `fan` between the length of a segment and that of a block.
 */
import { assert } from "@hayloft/base/assert.js"
import { COMMAND_ROWS_MAX } from "@hayloft/base/limits.js"
import type { SegmentRecord } from "@hayloft/engine/format/records.js"
import { bytesOfParts, HINTS_PER_COMMAND } from "@hayloft/objects/door/rows.js"

/** Rows of the command that replaces segments, apart from those of the old segments: the counters and usage of the bucket. */
const OTHER_ROWS_MAX = 16

export const SEALING_LIMITS = {
  /** Segments that are looked at, the newest of the object. */
  segmentsPerLook: 1_024,
  /** The limit is for one new part. */
  blocksMax: 16,
  /** Rows of the segments that one new part replaces, in a command that also has missing-shard hints. */
  rowsMax: COMMAND_ROWS_MAX - HINTS_PER_COMMAND - OTHER_ROWS_MAX,
  /** Segments that are merged. */
  fan: 32,
  /** The share of the longest of them. */
  unevenMax: 0.25,
  /** With so many neighbours that cannot be merged evenly, some are merged all the same. */
  runMax: 256,
} as const

/** Neighbouring segments, from the first to the one before `end`. */
interface Run {
  readonly first: number
  readonly end: number
}

/** All open segments but the last of the object, which may grow; only plain bytes. */
const isSettled = (segments: readonly SegmentRecord[], i: number): boolean => {
  const segment = segments[i]
  if (segment?.isOpen !== true || i === segments.length - 1) return false
  return segment.parts.every(({ extent }) => extent.isSealed === undefined)
}

function* runsOf(segments: readonly SegmentRecord[]): Generator<Run> {
  for (let first = 0; first < segments.length; first += 1) {
    if (!isSettled(segments, first)) continue
    let end = first + 1
    while (isSettled(segments, end)) end += 1
    yield { first, end }
    first = end
  }
}

/** Rows that a command writes to replace the segment: its own, and one for the pending deletion of each part. */
const rowsToReplace = ({ parts }: SegmentRecord): number => 1 + parts.length

/** Returns as many of the run's first segments as fit in the limits; undefined if they are shorter than one block. */
function sealable(segments: readonly SegmentRecord[], run: Run, blockBytes: number): Run | undefined {
  const { first } = run
  const bytesMax = SEALING_LIMITS.blocksMax * blockBytes
  let bytes = 0
  let at = first
  for (const segment of segments.slice(first, fittingEnd(segments.map(rowsToReplace), run))) {
    const length = bytesOfParts(segment.parts)
    if (at > first && bytes + length > bytesMax) break
    bytes += length
    at += 1
  }
  return bytes >= blockBytes ? { first, end: at } : undefined
}

/** The end of as many segments of the run, from its first one on, as one command can replace. */
function fittingEnd(rows: readonly number[], { first, end }: Run): number {
  let left = SEALING_LIMITS.rowsMax
  for (let at = first; at < end; at += 1) {
    left -= rows[at] ?? 0
    if (left < 0) return at
  }
  return end
}

/** Returns true if one segment has more than its share of the bytes of the run. */
function isUneven(lengths: readonly number[], { first, end }: Run): boolean {
  let [sum, longest] = [0, 0]
  for (let at = first; at < end; at += 1) {
    const length = lengths[at] ?? 0
    sum += length
    if (length > longest) longest = length
  }
  return longest > sum * SEALING_LIMITS.unevenMax
}

/**
 * The last `fan` neighbours, or as many of them as one command can replace, of which none is much longer than the others
 * together: it would be copied again and again. Where there are very many, the first ones anyway.
 */
function mergeable(segments: readonly SegmentRecord[], { first, end }: Run): Run | undefined {
  const { fan, runMax } = SEALING_LIMITS
  if (end - first < fan) return undefined
  const rows = segments.map(rowsToReplace)
  const lengths = segments.map(({ parts }) => bytesOfParts(parts))
  const fitting = (from: number): Run => ({ first: from, end: fittingEnd(rows, { first: from, end: from + fan }) })
  for (let from = end - fan; from >= first; from -= 1) {
    const run = fitting(from)
    if (!isUneven(lengths, run)) return run
  }
  return end - first >= runMax ? fitting(first) : undefined
}

/** Returns the segments that are to become one part. `segments` are neighbours in order, up to the last one of the object. */
export function planSealing(
  segments: readonly SegmentRecord[],
  blockBytes: number,
): readonly SegmentRecord[] | undefined {
  for (const run of runsOf(segments)) {
    const chosen = sealable(segments, run, blockBytes) ?? mergeable(segments, run)
    assert(chosen === undefined || chosen.end > chosen.first, "a command can replace any one segment")
    if (chosen !== undefined) return segments.slice(chosen.first, chosen.end)
  }
  return undefined
}
