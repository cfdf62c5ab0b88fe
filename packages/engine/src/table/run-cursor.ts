/** Run cursor: walks the rows of one run in either direction, row by row, synchronously. */
import { must } from "@hayloft/base/assert.js"
import { blockOfKeys, compareBytes, type Block } from "../format/tables/table-block.js"
import type { Probe, Table } from "./table.js"
import { KeyHash } from "../format/tables/table-filter.js"

/** A table as a version shows it: rows below `from` belong to another table by now. */
export interface ShownTable {
  readonly table: Table
  readonly level: number
  readonly from: Buffer | undefined
}

/** Tables that do not overlap, in key order. */
export class TableRun {
  /** Last keys of all tables, in one place: one search that touches little memory finds the table. */
  private readonly lastKeys: Block

  constructor(readonly tables: readonly ShownTable[]) {
    this.lastKeys = blockOfKeys(tables.map(({ table }) => table.footer.lastKey))
  }

  /** The number of the first table whose last key is at or above the key. */
  tableOf(key: Buffer, length: number): number {
    return this.lastKeys.search(key, length)
  }
}

const NO_BYTES = Buffer.alloc(0)
const NO_HASH = new KeyHash()

export class RunCursor {
  /** The row: its key, family number first, in `bytes[keyAt…valueAt)`, its value in `bytes[valueAt…end)`. */
  bytes: Buffer = NO_BYTES
  keyAt = 0
  valueAt = 0
  end = 0
  flags = 0
  isValid = false

  private tableAt = 0
  private partition = 0
  private index = 0
  private row = 0
  private block: Block | undefined

  constructor(private readonly run: TableRun) {}

  compareKey(bytes: Uint8Array, from: number, to: number): number {
    return compareBytes(this.bytes, this.keyAt, this.valueAt, bytes, from, to)
  }

  /** Yields the thread: resolves after a read of the device, when the row may be gone. */
  pass(): Promise<void> {
    return this.run.tables[this.tableAt]?.table.fetch(this.partition, undefined) ?? Promise.resolve()
  }

  /** Moves to the first row at or above the key. */
  seek(key: Buffer, length: number): void {
    this.tableAt = this.run.tableOf(key, length)
    const shown = this.run.tables[this.tableAt]
    if (shown === undefined) return this.leave()
    const { from } = shown
    const isFrom = from !== undefined && compareBytes(key, 0, length, from, 0, from.length) < 0
    const [bytes, bytesLength] = isFrom ? [from, from.length] : [key, length]
    if (!this.place(shown, bytes, bytesLength)) return this.leave()
    this.row = this.blockHere(shown).search(bytes, bytesLength)
    this.settle()
  }

  /** Moves to the last row below the key. */
  seekBelow(key: Buffer, length: number): void {
    this.tableAt = this.run.tableOf(key, length)
    const shown = this.run.tables[this.tableAt]
    if (shown !== undefined && this.place(shown, key, length)) {
      this.row = this.blockHere(shown).search(key, length)
      return this.previous()
    }
    // All tables end below the key.
    this.tableAt = this.run.tables.length
    this.block = undefined
    this.toTableBefore()
  }

  /** Finds the block with the first row at or above the key; false if the table ends below it. */
  private place({ table }: ShownTable, bytes: Buffer, length: number): boolean {
    const probe: Probe = { bytes, length, hash: NO_HASH }
    this.partition = table.partitionOf(probe)
    if (this.partition === table.partitions.length) return false
    this.index = table.directory(this.partition).search(bytes, length)
    return true
  }

  private blockHere({ table }: ShownTable): Block {
    this.block = table.block(this.partition, this.index, true)
    return this.block
  }

  next(): void {
    this.row += 1
    this.settle()
  }

  /** Shows the row, or the first one behind it. */
  private settle(): void {
    const { block } = this
    if (block === undefined) return this.leave()
    if (this.row < block.rows) return this.show(block)
    const shown = must(this.run.tables[this.tableAt], "a row is of a table")
    this.row = 0
    if (this.index + 1 < shown.table.directory(this.partition).rows) this.index += 1
    else if (this.partition + 1 < shown.table.partitions.length) {
      this.partition += 1
      this.index = 0
    } else return this.toTableAfter()
    this.show(this.blockHere(shown))
  }

  private toTableAfter(): void {
    this.tableAt += 1
    const shown = this.run.tables[this.tableAt]
    if (shown === undefined) return this.leave()
    const { from } = shown
    if (from !== undefined) return this.seek(from, from.length)
    this.partition = 0
    this.index = 0
    this.row = 0
    this.show(this.blockHere(shown))
  }

  previous(): void {
    const shown = this.run.tables[this.tableAt]
    if (shown === undefined) return this.leave()
    if (this.row > 0) this.row -= 1
    else if (this.index > 0) {
      this.index -= 1
      this.row = this.blockHere(shown).rows - 1
    } else if (this.partition > 0) {
      this.partition -= 1
      this.index = shown.table.directory(this.partition).rows - 1
      this.row = this.blockHere(shown).rows - 1
    } else return this.toTableBefore()
    this.showFrom(shown)
  }

  private toTableBefore(): void {
    this.tableAt -= 1
    const shown = this.run.tables[this.tableAt]
    if (shown === undefined) return this.leave()
    this.partition = shown.table.partitions.length - 1
    this.index = shown.table.directory(this.partition).rows - 1
    this.row = this.blockHere(shown).rows - 1
    this.showFrom(shown)
  }

  /** Shows the row unless it is below the counted rows of the table: then no row before it counts either. */
  private showFrom({ from }: ShownTable): void {
    if (this.block === undefined) return this.leave()
    this.show(this.block)
    if (from !== undefined && this.compareKey(from, 0, from.length) < 0) this.toTableBefore()
  }

  private show(block: Block): void {
    const keyAt = block.keyAt(this.row)
    this.bytes = block.bytes
    this.keyAt = keyAt
    this.valueAt = block.valueAt(keyAt)
    this.end = this.valueAt + block.valueBytes(keyAt)
    this.flags = block.flags(keyAt)
    this.isValid = true
  }

  private leave(): void {
    this.isValid = false
    this.block = undefined
  }
}
