/**
 * Several ranges of one object in one answer: which are sent, and how they are framed. Pure.
 *
 * Source  RFC 9110, sections 14.2 and 14.6; OpenStack Swift for what it takes for an attack.
 */
import { fail } from "@hayloft/base/failures.js"
import type { ByteRange } from "@hayloft/objects/contract.js"

const RANGES_MAX = 50
const OVERLAPS_MAX = 2
/** So many ranges are in the order of their first bytes. */
const UNORDERED_MAX = 7

/** The ranges of a header that names more than one; undefined: it names one, or is to be ignored. */
export function severalRanges(text: string | undefined): readonly string[] | undefined {
  const [, list] = /^bytes=([\d,\s-]+)$/i.exec(text ?? "") ?? []
  const items = (list ?? "").split(",").map(item => item.trim())
  const isValid = items.every(item => /^(?:\d+-\d*|-\d+)$/.test(item) && !isReversed(item))
  return items.length > 1 && isValid ? items : undefined
}

function isReversed(item: string): boolean {
  const [first, last] = item.split("-")
  return first !== "" && last !== "" && Number(last) < Number(first)
}

function rangeIn(item: string, sizeBytes: number): ByteRange | undefined {
  const [first = "", last = ""] = item.split("-")
  const from = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first)
  const to = first === "" || last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  return from > to ? undefined : { first: from, lengthBytes: to - from + 1 }
}

/** The one range that a header names; undefined: all bytes, because it names none, or is to be ignored. Throws `invalidRange`. */
export function oneRange(text: string | undefined, sizeBytes: number): ByteRange | undefined {
  const [, item] = /^bytes=\s*(\d+-\d*|-\d+)\s*$/i.exec(text ?? "") ?? []
  if (item === undefined || isReversed(item)) return undefined
  const range = rangeIn(item, sizeBytes)
  if (range === undefined) throw fail("invalidRange", { sizeBytes })
  return range
}

const endOf = ({ first, lengthBytes }: ByteRange): number => first + lengthBytes

/** Returns the ranges that the object has. Throws `invalidRange` if it has none, or they look like an attack. */
export function rangesOf(items: readonly string[], sizeBytes: number): readonly ByteRange[] {
  const ranges = items
    .slice(0, RANGES_MAX + 1)
    .map(item => rangeIn(item, sizeBytes))
    .filter(range => range !== undefined)
  const pairs = ranges.flatMap((a, i) => ranges.slice(i + 1).filter(b => a.first < endOf(b) && b.first < endOf(a)))
  const isOrdered = ranges.every((range, i) => range.first >= (ranges[i - 1]?.first ?? 0))
  const isAttack =
    items.length > RANGES_MAX || pairs.length > OVERLAPS_MAX || (!isOrdered && ranges.length > UNORDERED_MAX)
  if (ranges.length === 0 || isAttack) throw fail("invalidRange", { sizeBytes })
  return ranges
}

interface Framed {
  readonly range: ByteRange
  /** The bytes before those of the range. */
  readonly head: Uint8Array
}

interface Framing {
  readonly boundary: string
  readonly contentType: string
  readonly sizeBytes: number
}

/** The parts of an answer, what ends it, and its length. */
export function frameRanges(ranges: readonly ByteRange[], { boundary, contentType, sizeBytes }: Framing) {
  const parts = ranges.map((range, i): Framed => {
    const { first, lengthBytes } = range
    const lines = [
      `${i === 0 ? "" : "\r\n"}--${boundary}`,
      `Content-Type: ${contentType}`,
      `Content-Range: bytes ${first}-${first + lengthBytes - 1}/${sizeBytes}`,
    ]
    return { range, head: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1") }
  })
  const end = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1")
  const lengthBytes = parts.reduce((sum, { head, range }) => sum + head.length + range.lengthBytes, end.length)
  return { parts, end, lengthBytes }
}
