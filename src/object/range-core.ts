/** Ranges: what a request asks, against the size of what is there. Pure. RFC 9110 section 14. */
import { fail } from "../base/failures.js"
import type { ByteRange, PlainRange } from "./contract.js"

/** Undefined where nothing of the object is asked for. */
export function rangeWithin(range: PlainRange, sizeBytes: number): ByteRange | undefined {
  if (range.kind === "suffix") {
    const lengthBytes = Math.min(range.lengthBytes, sizeBytes)
    return lengthBytes === 0 ? undefined : { first: sizeBytes - lengthBytes, lengthBytes }
  }
  if (range.first >= sizeBytes) return undefined
  const last = Math.min(range.last ?? sizeBytes - 1, sizeBytes - 1)
  return { first: range.first, lengthBytes: last - range.first + 1 }
}

/** Throws `invalidRange` (with the size) where nothing of the object is asked for. */
export function resolveRange(range: PlainRange, sizeBytes: number): ByteRange {
  const resolved = rangeWithin(range, sizeBytes)
  if (resolved === undefined) throw fail("invalidRange", { sizeBytes })
  return resolved
}
