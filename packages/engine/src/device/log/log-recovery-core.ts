/**
 * Log recovery, decided: which segments form the log, where it ends, and whether the bytes behind its end are a torn
 * tail or damage.
 *
 * Batches are written one after another, each only when the one before is durable. So the log ends at the first batch
 * that does not continue the chain, unless anything that was written later shows that more had been durable: then
 * acknowledged bytes are damaged, and nothing may be cut off. Recycled segments keep old batches with good checksums;
 * they have lower segment numbers, and never count.
 * Throws `corruptLog`, `foreignFolder`.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import type { LogBatchHeader } from "../../format/device/log-batch.js"

/** A file whose first batch is whole, from any incarnation of the device. */
export interface SegmentHead {
  readonly path: string
  readonly first: LogBatchHeader
}

/** A run of batches in one segment that continue each other, from its first on. */
export interface SegmentChain {
  readonly last: LogBatchHeader
  /** The place where the next batch belongs. */
  readonly endBytes: number
}

/** The place where the log ends: an empty log is sequence 0 in segment 0. */
export interface LogEnd {
  readonly segment: number
  readonly sequence: LogSequence
}

/** Returns true if `next`, found at the offset of the segment that contains `before`, continues the log. */
export function continuesWithin(before: LogBatchHeader, next: LogBatchHeader, offsetBytes: number): boolean {
  return (
    next.deviceId === before.deviceId &&
    next.segment === before.segment &&
    next.offsetBytes === offsetBytes &&
    next.sequence === before.sequence + 1 &&
    next.previous === before.checksum
  )
}

/** Returns true if `first`, at the front of a segment, continues the log that ended with `before` in an earlier one. */
export function continuesAcross(before: LogBatchHeader, first: LogBatchHeader): boolean {
  return (
    first.segment > before.segment &&
    first.sequence === before.sequence + 1 &&
    first.previous === before.checksum &&
    first.offsetBytes === 0
  )
}

/**
 * Returns true if `first` is `last` once more, at the front of the next segment: a start that found an unvouched batch
 * has written it there, since at its old place it may have been in the page cache alone.
 */
const isWrittenAgain = (last: LogBatchHeader, first: LogBatchHeader): boolean =>
  first.segment === last.segment + 1 &&
  first.sequence === last.sequence &&
  first.previous === last.previous &&
  first.offsetBytes === 0

/** The segment that was begun last. Undefined for a log without any batch. */
export function newestSegment(heads: readonly SegmentHead[], deviceId: DeviceId): SegmentHead | undefined {
  for (const { first, path } of heads) {
    if (first.deviceId !== deviceId) {
      throw fail("foreignFolder", { message: "the log is another device's", path, found: first.deviceId, deviceId })
    }
  }
  return heads.reduce<SegmentHead | undefined>(
    (best, head) => (best === undefined || head.first.segment > best.first.segment ? head : best),
    undefined,
  )
}

/**
 * Files that begin with the very same batch as this one. One of them is its place; the others got it by a write that
 * was cut off or misdirected, and contain nothing more of its segment.
 */
export function twinsOf(heads: readonly SegmentHead[], of: SegmentHead): readonly SegmentHead[] {
  const twins = heads.filter(({ path, first }) => path !== of.path && first.segment === of.first.segment)
  const stranger = twins.find(({ first }) => first.checksum !== of.first.checksum)
  if (stranger !== undefined) {
    throw fail("corruptLog", { message: "two files hold one segment", path: of.path, other: stranger.path })
  }
  return twins
}

/**
 * The segments that form the log, oldest first, given the last batch of the newest: those from the one with the first
 * batch above the cut.
 */
export function liveSegments(heads: readonly SegmentHead[], last: LogBatchHeader): readonly SegmentHead[] {
  const bySegment = new Map(heads.map(head => [head.first.segment, head]))
  const live: SegmentHead[] = []
  for (let segment = last.segment; ; segment -= 1) {
    const head = bySegment.get(segment)
    if (head === undefined) throw missing(segment, last)
    live.unshift(head)
    if (head.first.sequence <= last.cutUpTo + 1) return live
  }
}

const missing = (segment: number, last: LogBatchHeader): Error =>
  fail("corruptLog", { message: "a segment of the log is missing or damaged at its front", segment, cut: last.cutUpTo })

/** Checks that each live segment's batches lead to the first of the next. */
export function checkChains(live: readonly SegmentHead[], chains: readonly SegmentChain[]): void {
  for (let i = 0; i + 1 < live.length; i += 1) {
    const [chain, next] = [must(chains[i], "each segment has a chain"), must(live[i + 1], "a next segment")]
    if (!continuesAcross(chain.last, next.first) && !isWrittenAgain(chain.last, next.first)) {
      const { path, first } = must(live[i], "a segment")
      throw damaged(path, chain.endBytes, { segment: first.segment, sequence: chain.last.sequence }, next.first)
    }
  }
}

/** Refuses to end the log if a batch found behind it proves that more was durable. `found` has a good checksum. */
export function checkBehindEnd(end: LogEnd, deviceId: DeviceId, found: LogBatchHeader, place: PlaceMatch): void {
  const isOfThisIncarnation =
    found.deviceId === deviceId && found.offsetBytes === place.offsetBytes && found.segment >= end.segment
  if (isOfThisIncarnation && found.durableUpTo > end.sequence) throw damaged(place.path, place.offsetBytes, end, found)
}

interface PlaceMatch {
  readonly path: string
  readonly offsetBytes: number
}

/** Refuses an end below the sequence that another source (a checkpoint, a clean stop) shows to have been durable. */
export function checkKnown(end: LogEnd, known: LogSequence): void {
  if (end.sequence >= known) return
  throw fail("corruptLog", {
    message: "the log ends before its durable end",
    endsWith: end.sequence,
    durableUpTo: known,
  })
}

function damaged(path: string, offsetBytes: number, end: LogEnd, witness: LogBatchHeader): Error {
  return fail("corruptLog", {
    path,
    offsetBytes,
    lastIntact: end.sequence,
    durableUpTo: Math.max(witness.durableUpTo, witness.sequence - 1),
  })
}
