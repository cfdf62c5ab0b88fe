/**
 * Rows set aside: rows that the metadata store cannot hold as rows, kept in marks of the same store.
 *
 * A record is a positional MessagePack array: version, number of the family, key, stored row. It is cut into parts, each
 * the value of one mark: `aside/`, SHA-256 of family and key in hexadecimal, `/`, number of the part (4 digits).
 * Refuses   Records of which a part is missing, and anything malformed, with `corruptRecord`.
 */
import { createHash } from "node:crypto"
import { FAMILIES, familyOfNumber } from "@hayloft/base/rows/families.js"
import { fail } from "@hayloft/base/failures.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { BYTES, mapped, NUMBER, record, type ValueOf } from "../encoding/fields.js"
import { ROW_KEY } from "../encoding/id-fields.js"

export const ASIDE_MARKS = { start: rowKeyOf("aside/"), end: rowKeyOf("aside0") }
const PART_BYTES = 512 * KIB
const PART_DIGITS = 4

const FAMILY = mapped(
  NUMBER,
  number => familyOfNumber(number) ?? refuse("family"),
  family => FAMILIES[family],
)

const ASIDE_ROW = record("row set aside", {
  family: FAMILY,
  key: ROW_KEY,
  /** The value that `encodeStoredRow` returned. */
  stored: BYTES,
})
export type AsideRow = ValueOf<typeof ASIDE_ROW>

type AsidePart = readonly [mark: RowKey, bytes: Uint8Array]

const markOf = (name: string, part: number): RowKey =>
  rowKeyOf(`${ASIDE_MARKS.start}${name}/${String(part).padStart(PART_DIGITS, "0")}`)

/** The marks that hold the row. */
export function encodeAsideRow(row: AsideRow): readonly AsidePart[] {
  const hash = createHash("sha256").update(Uint8Array.of(FAMILIES[row.family]))
  const name = hash.update(Buffer.from(row.key, "latin1")).digest("hex")
  const bytes = ASIDE_ROW.encode(row)
  const parts = Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, part) => part)
  return parts.map(part => [markOf(name, part), bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)])
}

/** The rows that marks hold; the marks are in their order. */
export function decodeAsideRows(marks: readonly AsidePart[]): readonly AsideRow[] {
  const records = new Map<string, Uint8Array[]>()
  for (const [mark, bytes] of marks) {
    const name = mark.slice(ASIDE_MARKS.start.length, -PART_DIGITS - 1)
    const parts = records.get(name) ?? []
    if (markOf(name, parts.length) !== mark) refuse("part")
    records.set(name, [...parts, bytes])
  }
  return Array.from(records.values(), parts => ASIDE_ROW.decode(Buffer.concat(parts)))
}

function refuse(field: string): never {
  throw fail("corruptRecord", { what: "row set aside", field })
}
