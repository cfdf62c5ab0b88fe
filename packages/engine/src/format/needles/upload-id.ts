/**
 * Upload ids: 4 bytes of the incarnation that assigned the id, 4 of its counter, 8 random; in hex.
 *
 * Ids of one incarnation ascend in time. On one machine those of a later start are higher, too; but threads of one start have
 * incarnations of their own, which are live at the same time. Counters of a start with front threads begin at 2^31: by
 * that ids tell that they may have neighbours, also without the store's metadata.
 */
import { parseIncarnation, type Incarnation, type UploadId } from "@hayloft/base/ids.js"

/**
 * Numbers that a start may reserve for its front threads, below its own: the most that any release has reserved, because
 * upload ids of one start are told from those of different starts by it. A process has at most so many fronts in its life,
 * those counted that took the place of others.
 *
 * A start with fronts uses up 256 incarnations. An incarnation has 32 bits, and its range of 2^20 generations of the control
 * record ends below 2^52: both suffice for 16 million starts. The narrowest are positions in a database: 2^34 for each
 * incarnation, in the 2^53 of a number. A store can therefore move its metadata into a database up to incarnation 2^19, which
 * is after 2048 starts with fronts; 4096 incarnations for each would leave 128.
 */
export const FRONT_INCARNATIONS = 255

/** Counters of a start that has reserved incarnations for front threads are from here on, all others below. */
export const COUNTERS_OF_THREADS = 2 ** 31

const INCARNATION_DIGITS = 8
const COUNTER_DIGITS = 8

export const incarnationOf = (uploadId: UploadId): Incarnation =>
  parseIncarnation(parseInt(uploadId.slice(0, INCARNATION_DIGITS), 16))

const isOfThread = (uploadId: UploadId): boolean =>
  parseInt(uploadId.slice(INCARNATION_DIGITS, INCARNATION_DIGITS + COUNTER_DIGITS), 16) >= COUNTERS_OF_THREADS

/**
 * Returns true if the higher one of two uploads is certainly the newer one, in a store that one process at a time has
 * opened. Incarnations of one start differ by no more than it has reserved.
 */
export function isOrdered(a: UploadId, b: UploadId): boolean {
  const apart = Math.abs(incarnationOf(a) - incarnationOf(b))
  return apart === 0 || apart > FRONT_INCARNATIONS || !isOfThread(a) || !isOfThread(b)
}
