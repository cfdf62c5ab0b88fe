/**
 * Rows set aside: rows that the metadata store cannot hold as rows, kept in marks of the same store.
 *
 * A record is a positional MessagePack array: version, number of the family, key, stored row. It is cut into parts, each
 * the value of one mark: `aside/`, SHA-256 of family and key in hexadecimal, `/`, number of the part (4 digits).
 * Refuses   Records of which a part is missing, and anything malformed, with `corruptRecord`.
 */
import { createHash } from "node:crypto"
import { FAMILIES, familyOfNumber, type Family } from "../base/families.js"
import { fail, type Failure } from "../base/failures.js"
import { rowKeyOf, type RowKey } from "../base/ids.js"
import { KIB } from "../base/limits.js"
import { packRecord, RecordReader } from "./pack.js"

export const ASIDE_MARKS = { start: rowKeyOf("aside/"), end: rowKeyOf("aside0") }
const FORMAT = 1
const PART_BYTES = 512 * KIB
const PART_DIGITS = 4

export interface AsideRow {
  readonly family: Family
  readonly key: RowKey
  /** The value that `encodeStoredRow` returned. */
  readonly stored: Uint8Array
}

type AsidePart = readonly [mark: RowKey, bytes: Uint8Array]

const markOf = (name: string, part: number): RowKey =>
  rowKeyOf(`${ASIDE_MARKS.start}${name}/${String(part).padStart(PART_DIGITS, "0")}`)

/** The marks that hold the row. */
export function encodeAsideRow({ family, key, stored }: AsideRow): readonly AsidePart[] {
  const keyBytes = Buffer.from(key, "latin1")
  const name = createHash("sha256").update(Uint8Array.of(FAMILIES[family])).update(keyBytes).digest("hex")
  const record = packRecord(FORMAT, [FAMILIES[family], keyBytes, stored])
  const parts = Array.from({ length: Math.ceil(record.length / PART_BYTES) }, (_, part) => part)
  return parts.map(part => [markOf(name, part), record.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)])
}

/** The rows that marks hold; the marks are in their order. */
export function decodeAsideRows(marks: readonly AsidePart[]): readonly AsideRow[] {
  const records = new Map<string, Uint8Array[]>()
  for (const [mark, bytes] of marks) {
    const name = mark.slice(ASIDE_MARKS.start.length, -PART_DIGITS - 1)
    const parts = records.get(name) ?? []
    if (markOf(name, parts.length) !== mark) throw corrupt("part")
    records.set(name, [...parts, bytes])
  }
  return Array.from(records.values(), decodeOne)
}

function decodeOne(parts: readonly Uint8Array[]): AsideRow {
  const record = RecordReader.open("row set aside", Buffer.concat(parts), FORMAT)
  const family = familyOfNumber(record.number())
  if (family === undefined) throw corrupt("family")
  const key = rowKeyOf(Buffer.from(record.bytes()).toString("latin1"))
  return { family, key, stored: record.bytes() }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "row set aside", field })
