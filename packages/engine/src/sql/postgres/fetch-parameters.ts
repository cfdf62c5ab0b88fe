/**
 * The parameters of a fetch. Ranges of rows are sorted into kinds by what makes them cheap: see `FETCHED`.
 *
 * PostgreSQL ends the scan of an index where a comparison fails that bounds the first column which is not fixed. A range
 * within one bucket fixes the bucket, so that its scan ends with its last key. Compared as pairs, bucket and key would let
 * the scan go on through all later rows of the bucket.
 */
import { FAMILIES } from "@hayloft/base/rows/families.js"
import { bytesOfByteString } from "@hayloft/base/ids.js"
import type { FetchRequest, StoredRange } from "../database.js"
import {
  bigintArray,
  bigintBytes,
  booleanArray,
  booleanBytes,
  byteaArray,
  integerArray,
  smallintArray,
  smallintBytes,
} from "./binary.js"
import { KEYS_END, keyArrays, lengthInKey, placeOf, type KeyColumns } from "./row-keys.js"

const RANGE_KINDS = ["forward", "reverse", "wide", "wideReverse", "folded"] as const
type RangeKind = (typeof RANGE_KINDS)[number]

/** Kinds of rows in the result of a fetch. */
export const FETCHED = {
  lane: 0,
  row: 1,
  counters: 2,
  usage: 3,
  /** Within one bucket. */
  forward: 4,
  reverse: 5,
  /** Over several buckets. */
  wide: 6,
  wideReverse: 7,
  /** Within one bucket, with the first row of each common prefix alone. */
  folded: 8,
} as const satisfies Record<RangeKind | "lane" | "row" | "counters" | "usage", number>

/** The first parameter of each part; those from `wide` on are of `fetchWide` alone. */
export const FETCH_PARAMETERS = {
  forward: 6,
  reverse: 12,
  counters: 18,
  usage: 19,
  wantsAllUsage: 20,
  wantsTimestamps: 21,
  wide: 22,
  wideReverse: 30,
  folded: 38,
} as const

interface PlacedRange {
  readonly range: StoredRange
  /** The index among the ranges of the request. */
  readonly at: number
  readonly start: KeyColumns
  readonly end: KeyColumns
}

type RangesByKind = Readonly<Record<RangeKind, readonly PlacedRange[]>>

interface FetchValues {
  /** It needs the statement for ranges of all kinds. */
  readonly isWide: boolean
  readonly values: readonly Buffer[]
  /** The range of a row of the result, by the kind of the row and the number in it. */
  readonly rangeOf: (kind: number, number: number) => PlacedRange | undefined
}

function placed(range: StoredRange, at: number): PlacedRange {
  const [start, end] = [placeOf(range.family, range.start), placeOf(range.family, range.end)]
  const isWhole = end.key.length === 0 && end.bucket === start.bucket + 1n
  return { range, at, start, end: isWhole ? { bucket: start.bucket, key: KEYS_END } : end }
}

function kindOf({ range, start, end }: PlacedRange): RangeKind {
  if (start.bucket !== end.bucket) return range.reverse ? "wideReverse" : "wide"
  if (range.reverse) return "reverse"
  return range.folding === undefined ? "forward" : "folded"
}

const columnArrays = (ranges: readonly PlacedRange[]): Buffer[] => [
  smallintArray(ranges.map(({ range }) => FAMILIES[range.family])),
  booleanArray(ranges.map(({ range }) => range.column === "head")),
  bigintArray(ranges.map(({ start }) => start.bucket)),
  byteaArray(ranges.map(({ start }) => start.key)),
  byteaArray(ranges.map(({ end }) => end.key)),
  integerArray(ranges.map(({ range }) => range.max)),
]

/** With the bucket at the end, and the last one that has rows of the range. */
const wideArrays = (ranges: readonly PlacedRange[]): Buffer[] => [
  ...columnArrays(ranges),
  bigintArray(ranges.map(({ end }) => end.bucket)),
  bigintArray(ranges.map(({ end }) => (end.key.length === 0 ? end.bucket - 1n : end.bucket))),
]

const foldedArrays = (ranges: readonly PlacedRange[]): Buffer[] => [
  ...columnArrays(ranges),
  integerArray(ranges.map(({ range: { family, folding } }) => lengthInKey(family, folding?.from ?? 0))),
  byteaArray(ranges.map(({ range: { folding } }) => bytesOfByteString(folding?.delimiter ?? ""))),
]

export function fetchValues(request: FetchRequest): FetchValues {
  const { lane, keys, ranges, counters, usage, wantsTimestamps = false } = request
  const all = ranges.map(placed)
  const ofKind = (kind: RangeKind) => all.filter(each => kindOf(each) === kind)
  const kinds: RangesByKind = {
    forward: ofKind("forward"),
    reverse: ofKind("reverse"),
    wide: ofKind("wide"),
    wideReverse: ofKind("wideReverse"),
    folded: ofKind("folded"),
  }
  const { forward, reverse, wide, wideReverse, folded } = kinds
  const isWide = wide.length + wideReverse.length + folded.length > 0
  const values = [
    bigintBytes(BigInt(lane.incarnation)),
    smallintBytes(lane.lane),
    ...keyArrays(keys),
    ...columnArrays(forward),
    ...columnArrays(reverse),
    bigintArray(counters.map(BigInt)),
    byteaArray(usage === "all" ? [] : usage.map(bytesOfByteString)),
    booleanBytes(usage === "all"),
    booleanBytes(wantsTimestamps),
    ...(isWide ? [...wideArrays(wide), ...wideArrays(wideReverse), ...foldedArrays(folded)] : []),
  ]
  const byNumber = new Map<number, readonly PlacedRange[]>(RANGE_KINDS.map(kind => [FETCHED[kind], kinds[kind]]))
  return { isWide, values, rangeOf: (kind, number) => byNumber.get(kind)?.[number] }
}
