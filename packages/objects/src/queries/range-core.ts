/** Ranges: resolves a requested range against the size of the object. Pure. RFC 9110 section 14. */
import { fail } from "@hayloft/base/failures.js"
import type { ByteRange, RangeRequest } from "../contract.js"

/** Throws `invalidRange` (with the size) if the range contains no byte of the object. */
export function resolveRange(range: Exclude<RangeRequest, { kind: "part" }>, sizeBytes: number): ByteRange {
  if (range.kind === "suffix") {
    const lengthBytes = Math.min(range.lengthBytes, sizeBytes)
    if (lengthBytes === 0) throw fail("invalidRange", { sizeBytes })
    return { first: sizeBytes - lengthBytes, lengthBytes }
  }
  if (range.first >= sizeBytes) throw fail("invalidRange", { sizeBytes })
  const last = Math.min(range.last ?? sizeBytes - 1, sizeBytes - 1)
  return { first: range.first, lengthBytes: last - range.first + 1 }
}
