/**
 * Scans: rows that are handed on one after another where they lie, without an object for each. Listings
 * read by them; whoever wants to keep a row uses a range.
 */
import type { RowKey } from "./ids.js"

export interface RowVisitor {
  /**
   * A row: its key in `bytes[keyAt…valueAt)`, its value in `bytes[valueAt…end)`. They are good for this
   * call only, in which nothing may be hashed. False ends the scan.
   */
  row(bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean
}

const ROW_BYTES_USUAL = 4096
const usual = Buffer.alloc(ROW_BYTES_USUAL)

/** Hands on one row that is not in such a place yet. */
export function visitRow(key: RowKey, value: Uint8Array, visitor: RowVisitor): boolean {
  const end = key.length + value.length
  const bytes = end <= usual.length ? usual : Buffer.allocUnsafe(end)
  bytes.write(key, 0, "latin1")
  bytes.set(value, key.length)
  return visitor.row(bytes, 0, key.length, end)
}

/** The same for the rows of a range; the slow twin of every scan. */
export function visitRows(
  rows: Iterable<readonly [RowKey, { readonly value: Uint8Array }]>,
  visitor: RowVisitor,
): void {
  for (const [key, { value }] of rows) if (!visitRow(key, value, visitor)) return
}
