/**
 * Scans: rows passed one by one in place, without an object for each. Listings
 * use them; code that keeps a row uses a range.
 */
import type { RowKey } from "../ids.js"

export interface RowVisitor {
  /**
   * A row: its key in `bytes[keyAt…valueAt)`, its value in `bytes[valueAt…end)`. They are valid during this
   * call only, which must not hash anything. False ends the scan.
   */
  row(bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean
}

const ROW_BYTES_USUAL = 4096
const usual = Buffer.alloc(ROW_BYTES_USUAL)

/** Passes one row that is not in such a buffer yet. */
export function visitRow(key: RowKey, value: Uint8Array, visitor: RowVisitor): boolean {
  const end = key.length + value.length
  const bytes = end <= usual.length ? usual : Buffer.allocUnsafe(end)
  bytes.write(key, 0, "latin1")
  bytes.set(value, key.length)
  return visitor.row(bytes, 0, key.length, end)
}

/** The same for the rows of a range; the slow equivalent of every scan. */
export function visitRows(
  rows: Iterable<readonly [RowKey, { readonly value: Uint8Array }]>,
  visitor: RowVisitor,
): void {
  for (const [key, { value }] of rows) if (!visitRow(key, value, visitor)) return
}
