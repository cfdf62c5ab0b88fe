/**
 * Byte ranges: `Range` on reads, `x-amz-copy-source-range` on copies of parts.
 *
 * Source  RFC 9110 section 14; S3 serves one range only, and the whole object for ranges that it does not understand.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RangeRequest } from "@hayloft/objects/contract.js"

/** No object is longer, so a larger number means "past the end". */
const positionOf = (digits: string): number => Math.min(Number(digits), Number.MAX_SAFE_INTEGER)

/** @returns undefined for ranges to ignore: another unit, several ranges, malformed text. */
export function parseRange(text: string): Exclude<RangeRequest, { kind: "part" }> | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/i.exec(text) ?? []
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined
  if (first === "") return { kind: "suffix", lengthBytes: positionOf(last) }
  const range = { kind: "fromTo", first: positionOf(first), last: last === "" ? undefined : positionOf(last) } as const
  return range.last !== undefined && range.last < range.first ? undefined : range
}

/** `bytes=a-b`, both ends required. Throws `invalidArgument`. */
export function parseCopyRange(text: string): { readonly first: number; readonly last: number } {
  const [, first = "", last = ""] = /^bytes=(\d+)-(\d+)$/.exec(text) ?? []
  const range = { first: positionOf(first), last: positionOf(last) }
  if (first === "" || range.last < range.first) {
    throw fail("invalidArgument", {
      message:
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
      argumentName: "x-amz-copy-source-range",
      argumentValue: text.slice(0, 80),
    })
  }
  return range
}
