/**
 * Reading a range of a needle, purely: which bytes of the volume to fetch, and what they prove.
 *
 * Only the sub-blocks that the range touches are fetched and verified. The header is fetched with them, as it contains
 * the checksums and the identity of the needle.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { roundUp } from "@hayloft/base/text/round.js"
import type { NeedleHeader, NeedleNames, NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedleHeader, needleHeaderLength } from "../format/needles/needle.js"
import type { NeedleRange } from "./contract.js"
import { bodyBytesOf } from "./group-reader.js"
import { firstBadSubBlock } from "./sub-block-checks.js"
import { READ_AT_ONCE_BYTES } from "./limits.js"

export interface WantedNeedle {
  readonly isWanted: (header: NeedleHeader) => boolean
  /** If the needle is found by its names. */
  readonly names?: NeedleNames | undefined
}

export interface NeedleReadPlan {
  readonly firstSubBlock: number
  /** The range of the whole sub-blocks, in the body. */
  readonly bodyFromBytes: number
  readonly bodyToBytes: number
  /** Header and body parts are fetched as one piece, from the header on. */
  readonly atOnce: boolean
}

/** Throws `corruptNeedle` if the needle is too short for the range: its row promised more. */
export function planRead(place: NeedlePlace, { offsetBytes, lengthBytes }: NeedleRange): NeedleReadPlan {
  const end = offsetBytes + lengthBytes
  if (offsetBytes < 0 || lengthBytes < 0 || end > place.bodyBytes) {
    throw fail("corruptNeedle", { message: "the needle is shorter than the requested range", ...place, end })
  }
  const firstSubBlock = Math.floor(offsetBytes / SUB_BLOCK_BYTES)
  const bodyFromBytes = firstSubBlock * SUB_BLOCK_BYTES
  const bodyToBytes = lengthBytes === 0 ? bodyFromBytes : Math.min(roundUp(end, SUB_BLOCK_BYTES), place.bodyBytes)
  const atOnce = firstSubBlock === 0 || place.headerBytes + bodyToBytes <= READ_AT_ONCE_BYTES
  return { firstSubBlock, bodyFromBytes, bodyToBytes, atOnce }
}

/** Ranges of the volume that a plan fetches, in file order: the header, then the part of the body, or both as one. */
export function subBlockStretchesOf(place: NeedlePlace, plan: NeedleReadPlan): readonly NeedleRange[] {
  const { offsetBytes, headerBytes } = place
  if (plan.atOnce) return [{ offsetBytes, lengthBytes: headerBytes + plan.bodyToBytes }]
  const bodyAt = offsetBytes + headerBytes + plan.bodyFromBytes
  const body = { offsetBytes: bodyAt, lengthBytes: plan.bodyToBytes - plan.bodyFromBytes }
  return [{ offsetBytes, lengthBytes: headerBytes }, body]
}

/**
 * Decodes the header and checks that it is the expected one and that the fetched part of the body (from the plan's
 * first sub-block on) is good. Throws `corruptNeedle`.
 */
export function verifyRead(
  place: NeedlePlace,
  plan: NeedleReadPlan,
  fetched: { readonly header: Uint8Array; readonly body: Uint8Array },
  { isWanted, names }: WantedNeedle,
): void {
  const header = decodeHeader(place, fetched.header, names)
  if (!isWanted(header) || bodyBytesOf(header) !== place.bodyBytes) throw anotherNeedle(place)
  // The body begins elsewhere if the header is of the other version.
  if (needleHeaderLength(fetched.header) !== place.headerBytes) throw anotherNeedle(place)
  if (fetched.body.length !== plan.bodyToBytes - plan.bodyFromBytes) {
    throw fail("corruptNeedle", { message: "the volume is cut short", ...place })
  }
  const subBlock = firstBadSubBlock(header, fetched.body, plan.firstSubBlock)
  if (subBlock !== undefined) throw fail("corruptNeedle", { ...place, subBlock })
}

/** Throws `corruptNeedle`, with the place. */
export function decodeHeader(place: NeedlePlace, bytes: Uint8Array, names?: NeedleNames): NeedleHeader {
  try {
    return decodeNeedleHeader(bytes, names)
  } catch (error) {
    throw isFailure(error, "corruptNeedle") ? fail("corruptNeedle", { ...error.details, ...place }, error) : error
  }
}

export const anotherNeedle = (place: NeedlePlace): Failure =>
  fail("corruptNeedle", { message: "another needle is stored at this one's place", ...place })

export const isSameNeedlePlace = (a: NeedlePlace | undefined, b: NeedlePlace | undefined): boolean =>
  a !== undefined && b !== undefined && a.volume === b.volume && a.offsetBytes === b.offsetBytes
