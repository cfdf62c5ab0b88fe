/**
 * What to do with the open end of an object with appends: which neighbouring segments become one part of erasure-coded
 * blocks, and which become one longer part of copies. Pure.
 *
 * Bytes are copied once when enough of them are sealed. Appends of a few bytes would leave thousands of parts until then, so
 * neighbours of about the same length are merged, as in a log-structured merge tree: a byte is copied once for each factor of
 * `fan` between the length of a segment and that of a block.
 */
import type { SegmentRecord } from "../../format/records.js"
import { bytesOfParts } from "../queries/manifest-core.js"

export const SEALING_LIMITS = {
  /** Segments that are looked at, the newest of the object. */
  segmentsPerLook: 1_024,
  /** Of one new part. */
  blocksMax: 16,
  /** Old parts that one new part replaces. */
  partsMax: 1_024,
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

/** As many segments from the first on as make up whole blocks, within the limits; undefined: fewer than one block. */
function sealable(segments: readonly SegmentRecord[], { first, end }: Run, blockBytes: number): Run | undefined {
  const { blocksMax, partsMax } = SEALING_LIMITS
  let [bytes, parts, at] = [0, 0, first]
  for (; at < end; at += 1) {
    const { parts: more = [] } = segments[at] ?? {}
    const length = bytesOfParts(more)
    if (at > first && (bytes + length > blocksMax * blockBytes || parts + more.length > partsMax)) break
    bytes += length
    parts += more.length
  }
  return bytes >= blockBytes ? { first, end: at } : undefined
}

/**
 * The last `fan` neighbours of which none is much longer than the others together: it would be copied again and again. Where
 * there are very many, the first ones anyway.
 */
function mergeable(segments: readonly SegmentRecord[], { first, end }: Run): Run | undefined {
  const { fan, unevenMax, runMax } = SEALING_LIMITS
  const lengths = segments.slice(first, end).map(({ parts }) => bytesOfParts(parts))
  for (let last = lengths.length; last >= fan; last -= 1) {
    const some = lengths.slice(last - fan, last)
    const sum = some.reduce((bytes, length) => bytes + length, 0)
    if (Math.max(...some) <= sum * unevenMax) return { first: first + last - fan, end: first + last }
  }
  return end - first >= runMax ? { first, end: first + fan } : undefined
}

/** Returns the segments that are to become one part. `segments` are neighbours in order, up to the last one of the object. */
export function planSealing(
  segments: readonly SegmentRecord[],
  blockBytes: number,
): readonly SegmentRecord[] | undefined {
  for (const run of runsOf(segments)) {
    const chosen = sealable(segments, run, blockBytes) ?? mergeable(segments, run)
    if (chosen !== undefined) return segments.slice(chosen.first, chosen.end)
  }
  return undefined
}
