/**
 * Row sorter: rows in memory, up to a limit, in the order of their keys.
 *
 * Keys are compared by four bytes behind what all have in common, as numbers that the runtime sorts; those that are equal
 * there by the next four, and so on. A few equal ones, and those that end, are compared byte by byte.
 */
import { must } from "@hayloft/base/assert.js"
import type { RowSum } from "../format/tables/row-sum.js"
import { compareBytes } from "../format/tables/table-block.js"

/** A row is: length of the key (2), number of the line (6), length of the value (4), key, value. */
const HEADER_BYTES = 12
const PREFIX_BYTES = 4
/** So few rows are compared byte by byte. */
const COMPARED_MAX = 4

/** Rows of the order whose keys are equal up to byte `from`. */
interface Run {
  readonly begin: number
  readonly end: number
  readonly from: number
}

/** The place where a row is in `bytes`. */
export interface SortedRow {
  readonly bytes: Buffer
  keyAt: number
  valueAt: number
  end: number
  line: number
}

export class RowSorter {
  private readonly bytes: Buffer
  private readonly offsets: Uint32Array
  private usedBytes = 0
  private rows = 0
  /** Bytes that all keys begin with. */
  private common = 0
  private isInOrder = true

  constructor(bytesMax: number, rowsMax: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytesMax)
    this.offsets = new Uint32Array(rowsMax)
  }

  get size(): number {
    return this.rows
  }

  /** Also adds the row to the sum. False if there is no room. The key begins with `first`. */
  add(first: number, key: Uint8Array, value: Uint8Array, line: number, sum: RowSum): boolean {
    const { bytes, rows } = this
    const at = this.usedBytes
    const keyAt = at + HEADER_BYTES
    const valueAt = keyAt + 1 + key.length
    const end = valueAt + value.length
    if (rows === this.offsets.length || end > bytes.length) return false
    bytes.writeUInt16LE(1 + key.length, at)
    bytes.writeUIntLE(line, at + 2, 6)
    bytes.writeUInt32LE(value.length, at + 8)
    bytes[keyAt] = first
    bytes.set(key, keyAt + 1)
    bytes.set(value, valueAt)
    sum.add(bytes, keyAt, end, 0)
    this.offsets[rows] = at
    this.usedBytes = end
    this.rows = rows + 1
    this.compareWithLast(rows, keyAt, valueAt)
    return true
  }

  private compareWithLast(row: number, keyAt: number, valueAt: number): void {
    if (row === 0) {
      this.common = valueAt - keyAt
      return
    }
    const { bytes } = this
    const lastAt = this.keyAt(row - 1)
    const lastEnd = this.valueAt(lastAt)
    let same = 0
    const most = Math.min(this.common, valueAt - keyAt)
    while (same < most && bytes[keyAt + same] === bytes[lastAt + same]) same += 1
    this.common = same
    if (this.isInOrder && compareBytes(bytes, lastAt, lastEnd, bytes, keyAt, valueAt) > 0) this.isInOrder = false
  }

  private keyAt(row: number): number {
    return must(this.offsets[row], "the row is there") + HEADER_BYTES
  }

  private valueAt(keyAt: number): number {
    return keyAt + this.bytes.readUInt16LE(keyAt - HEADER_BYTES)
  }

  /** The rows in order; those with one key in the order in which they were added. The returned object is one and the same. */
  *sorted(): Generator<SortedRow> {
    const { bytes } = this
    const row: SortedRow = { bytes, keyAt: 0, valueAt: 0, end: 0, line: 0 }
    const order = this.isInOrder ? undefined : this.order()
    for (let i = 0; i < this.rows; i += 1) {
      row.keyAt = this.keyAt(order?.[i] ?? i)
      row.valueAt = this.valueAt(row.keyAt)
      row.end = row.valueAt + bytes.readUInt32LE(row.keyAt - 4)
      row.line = bytes.readUIntLE(row.keyAt - HEADER_BYTES + 2, 6)
      yield row
    }
  }

  private order(): Uint32Array {
    const order = new Uint32Array(this.rows)
    for (let row = 0; row < order.length; row += 1) order[row] = row
    this.sort(order, this.common)
    return order
  }

  /** Sorts rows whose keys are equal up to byte `from`, and no shorter. Runs that are equal further on follow: one array at a time. */
  private sort(order: Uint32Array, from: number): void {
    const open: Run[] = [{ begin: 0, end: order.length, from }]
    for (let run = open.pop(); run !== undefined; run = open.pop()) this.sortRun(order, run, open)
  }

  /** Sorts a run by four bytes, and what is equal there if it is short; others are added to `open`. */
  private sortRun(all: Uint32Array, { begin: start, end, from }: Run, open: Run[]): void {
    const size = this.offsets.length
    const order = all.subarray(start, end)
    // 32 bits of the key, then up to 20 of the row: a double has 53.
    const packed = new Float64Array(order.length)
    for (let at = 0; at < order.length; at += 1) {
      const row = order[at] ?? 0
      packed[at] = this.prefixOf(row, from) * size + row
    }
    packed.sort()
    let isLonger = true
    for (let at = 0, begin = 0; at < order.length; at += 1) {
      const value = packed[at] ?? 0
      const row = value % size
      order[at] = row
      isLonger &&= this.keyBytes(row) >= from + PREFIX_BYTES
      if (at + 1 < order.length && Math.floor((packed[at + 1] ?? 0) / size) === Math.floor(value / size)) continue
      const equal = at + 1 - begin
      if (equal > COMPARED_MAX && isLonger)
        open.push({ begin: start + begin, end: start + at + 1, from: from + PREFIX_BYTES })
      else if (equal > 1) order.subarray(begin, at + 1).sort((a, b) => this.compare(a, b) || a - b)
      begin = at + 1
      isLonger = true
    }
  }

  private keyBytes(row: number): number {
    return this.bytes.readUInt16LE(this.keyAt(row) - HEADER_BYTES)
  }

  /** Four bytes of the key from this one on, as a number; zeros behind its end. */
  private prefixOf(row: number, from: number): number {
    const { bytes } = this
    const keyAt = this.keyAt(row)
    const end = this.valueAt(keyAt)
    let prefix = 0
    for (let at = keyAt + from; at < keyAt + from + PREFIX_BYTES; at += 1) {
      prefix = prefix * 256 + (at < end ? (bytes[at] ?? 0) : 0)
    }
    return prefix
  }

  private compare(a: number, b: number): number {
    const [aAt, bAt] = [this.keyAt(a), this.keyAt(b)]
    return compareBytes(this.bytes, aAt, this.valueAt(aAt), this.bytes, bAt, this.valueAt(bAt))
  }

  /** There are no rows any more. */
  clear(): void {
    this.usedBytes = 0
    this.rows = 0
    this.isInOrder = true
  }
}
