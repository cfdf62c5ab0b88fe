/**
 * Run stream: the rows of one run in order, for merges. It reads partition after partition, without the cache.
 *
 * It adds up the rows that it returns: a table that is read to its end must match the sums in its footer.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { compareBytes, ROW_FLAGS, type Block } from "../format/tables/table-block.js"
import { RowHash, RowSum } from "../format/tables/row-sum.js"
import type { TableEntry } from "../format/tables/table-manifest.js"
import type { Probe, Table } from "./table.js"
import { KeyHash } from "../format/tables/table-filter.js"

/** A table with its entry in the manifest. */
export interface StreamedTable {
  readonly table: Table
  readonly entry: TableEntry
}

interface Reading extends StreamedTable {
  partition: number
  rows: number
  readonly sum: RowSum
  isOver: boolean
}

/** `path`: of the file whose rows do not add up, if it is known. */
export const lostRows = (reason: string, path?: string): Failure =>
  fail("corruptRow", { message: "a merge of metadata tables does not add up and was abandoned", reason, path })

const NO_BYTES = Buffer.alloc(0)

export class RunStream {
  bytes: Buffer = NO_BYTES
  keyAt = 0
  valueAt = 0
  end = 0
  flags = 0
  isValid = false
  /** Its row is one of those that are merged now. */
  isTaken = false
  /** Hash of its row. */
  readonly hash = new RowHash()

  private readonly readings: Reading[]
  private memory = NO_BYTES
  private at = 0
  private blocks: readonly Block[] = []
  private blockAt = 0
  private row = -1

  constructor(
    run: readonly StreamedTable[],
    private readonly upTo: Buffer | undefined,
  ) {
    this.readings = run.map(({ table, entry }) => ({
      table,
      entry,
      partition: firstPartition(table, entry.from),
      rows: entry.merged.rows,
      sum: entry.merged.sum.copy(),
      isOver: false,
    }))
  }

  /** Moves to the next row in memory; false: call `load`. */
  next(): boolean {
    const reading = this.readings[this.at]
    if (reading === undefined) return false
    const { from } = reading.entry
    while (this.step()) {
      if (from !== undefined && this.compareTo(from) < 0) continue
      if (this.upTo !== undefined && this.compareTo(this.upTo) >= 0) {
        this.blocks = []
        this.at += 1
        return false
      }
      reading.rows += 1
      reading.sum.addHash(this.hash.of(this.bytes, this.keyAt, this.end, this.flags & ROW_FLAGS.tombstone))
      this.isValid = true
      return true
    }
    return false
  }

  private compareTo(key: Buffer): number {
    return compareBytes(this.bytes, this.keyAt, this.valueAt, key, 0, key.length)
  }

  /** Shows the next row of the blocks in memory; false if there is none. */
  private step(): boolean {
    this.row += 1
    let block = this.blocks[this.blockAt]
    while (block !== undefined && this.row >= block.rows) {
      this.blockAt += 1
      this.row = 0
      block = this.blocks[this.blockAt]
    }
    if (block === undefined) return false
    const keyAt = block.keyAt(this.row)
    this.bytes = block.bytes
    this.keyAt = keyAt
    this.valueAt = block.valueAt(keyAt)
    this.end = this.valueAt + block.valueBytes(keyAt)
    this.flags = block.flags(keyAt)
    return true
  }

  /** Reads on and moves to the next row; `isValid` shows whether there is one. */
  async load(): Promise<void> {
    this.isValid = false
    for (let reading = this.readings[this.at]; reading !== undefined; reading = this.readings[this.at]) {
      if (reading.partition === reading.table.partitions.length) {
        reading.isOver = true
        this.at += 1
        continue
      }
      this.blocks = await reading.table.readPartition(reading.partition, this.memoryFor(reading))
      reading.partition += 1
      this.blockAt = 0
      this.row = -1
      if (this.next()) return
    }
  }

  /** The same memory for one partition after the other. */
  private memoryFor({ table, partition }: Reading): Buffer {
    const bytes = table.partitionBytes(partition)
    if (this.memory.length < bytes) this.memory = Buffer.allocUnsafeSlow(bytes + (bytes >>> 3))
    return this.memory
  }

  /** The entries of tables with remaining rows. Throws if the rows of a table do not match its footer. */
  finish(): readonly TableEntry[] {
    return this.readings.flatMap(({ table, entry, rows, sum, isOver }) => {
      if (!isOver) return [{ ...entry, from: this.upTo, merged: { rows, sum } }]
      const whole = new RowSum()
      for (const total of table.footer.totals) whole.addSum(total.sum)
      if (rows !== table.footer.rows || !sum.equals(whole)) {
        throw lostRows(`${table.path} returned ${rows} of ${table.footer.rows} rows`, table.path)
      }
      return []
    })
  }
}

function firstPartition(table: Table, from: Buffer | undefined): number {
  if (from === undefined) return 0
  const probe: Probe = { bytes: from, length: from.length, hash: new KeyHash() }
  return table.partitionOf(probe)
}
