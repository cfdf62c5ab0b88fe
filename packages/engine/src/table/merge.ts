/**
 * Merge: writes the rows of several runs as one, each key once. It drops older versions of a row, and tombstones below
 * which nothing older can remain.
 *
 * Promises  The rows of the inputs that are read to their end add up to the sums in their footers, and the input equals
 *           the output plus the dropped rows, by number and by sum of row hashes. Otherwise it throws, and nothing has
 *           changed.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { RowSum } from "../format/tables/row-sum.js"
import { compareBytes, ROW_FLAGS } from "../format/tables/table-block.js"
import { KeyHash } from "../format/tables/table-filter.js"
import type { TableEntry } from "../format/tables/table-manifest.js"
import { lostRows, RunStream, type StreamedTable } from "./run-stream.js"
import type { Probe } from "./table.js"
import type { TableWriter } from "./table-writer.js"

interface MergeResult {
  readonly tables: readonly TableEntry[]
  /** Inputs that still have rows. */
  readonly trimmed: readonly TableEntry[]
  readonly rows: number
  readonly droppedRows: number
}

/** Called for each dropped row whose payload is not counted as dead yet: its key begins with the number of its family. */
export type DroppedBytes = (bytes: Buffer, keyAt: number, valueAt: number, end: number) => void

export interface MergeInputs {
  /** From the newest to the oldest. */
  readonly runs: readonly (readonly StreamedTable[])[]
  /** Rows of `runs` from this key on stay in place. */
  readonly upTo: Buffer | undefined
  readonly lower: readonly StreamedTable[]
}

/** `mayHoldOlder`: whether a deeper level may contain the key; false is certain. Absent: there is no deeper level. */
export async function mergeRows(
  { runs, upTo, lower }: MergeInputs,
  writer: TableWriter,
  mayHoldOlder: ((probe: Probe) => boolean) | undefined,
  dropped: DroppedBytes,
): Promise<MergeResult> {
  const streams = [...runs.map(run => new RunStream(run, upTo)), new RunStream(lower, undefined)]
  const merging = new Merging(streams, writer, mayHoldOlder, dropped)
  await merging.run()
  const tables = await writer.finish()
  merging.check(tables)
  const trimmed = streams.flatMap(stream => stream.finish())
  return { tables, trimmed, rows: merging.rowsIn, droppedRows: merging.droppedRows }
}

class Merging {
  rowsIn = 0
  droppedRows = 0
  private readonly sumIn = new RowSum()
  private readonly droppedSum = new RowSum()
  private readonly hash = new KeyHash()
  private live: RunStream[] = []
  /** More than one stream has the row that `first` has found. */
  private hasOlder = false

  constructor(
    private readonly streams: readonly RunStream[],
    private readonly writer: TableWriter,
    private readonly mayHoldOlder: ((probe: Probe) => boolean) | undefined,
    private readonly dropped: DroppedBytes,
  ) {}

  async run(): Promise<void> {
    for (const stream of this.streams) await stream.load()
    this.live = this.streams.filter(stream => stream.isValid)
    while (this.live.length > 0) {
      const newest = this.first()
      const flags = this.dropOlder(newest)
      if (this.write(newest, flags)) await this.writer.flush()
      if (!this.advance()) await this.loadTaken()
    }
  }

  /** The stream whose row is next; of several with one key the newest. */
  private first(): RunStream {
    const { live } = this
    let first = live[0]
    assert(first !== undefined, "there is a row")
    this.hasOlder = false
    for (let i = 1; i < live.length; i += 1) {
      const stream = must(live[i], "it is within the list")
      const order = compareBytes(stream.bytes, stream.keyAt, stream.valueAt, first.bytes, first.keyAt, first.valueAt)
      if (order < 0) first = stream
      if (order <= 0) this.hasOlder = order === 0
    }
    return first
  }

  /**
   * Marks the streams that contain older versions of the row, and reports their values. Returns the flags of the row:
   * it inherits whether the versions below the oldest of them have been counted.
   */
  private dropOlder(newest: RunStream): number {
    let { flags } = newest
    newest.isTaken = true
    this.countIn(newest)
    if (!this.hasOlder) return flags
    for (const stream of this.live) {
      if (stream === newest || !isSameKey(stream, newest)) continue
      stream.isTaken = true
      this.countIn(stream)
      if ((flags & ROW_FLAGS.countedOlder) === 0 && (stream.flags & ROW_FLAGS.tombstone) === 0)
        this.dropped(stream.bytes, stream.keyAt, stream.valueAt, stream.end)
      flags = (flags & ~ROW_FLAGS.countedOlder) | (stream.flags & ROW_FLAGS.countedOlder)
      this.countDropped(stream)
    }
    return flags
  }

  private countIn({ hash }: RunStream): void {
    this.rowsIn += 1
    this.sumIn.addHash(hash)
  }

  private countDropped({ hash }: RunStream): void {
    this.droppedRows += 1
    this.droppedSum.addHash(hash)
  }

  private write(row: RunStream, flags: number): boolean {
    const { bytes, keyAt, valueAt, end } = row
    const isReplacing = this.mayBeOlder(bytes, keyAt, valueAt)
    if ((flags & ROW_FLAGS.tombstone) !== 0 && !isReplacing) {
      this.countDropped(row)
      return false
    }
    return this.writer.add(bytes, keyAt, valueAt, end, flags, isReplacing)
  }

  private mayBeOlder(bytes: Buffer, keyAt: number, valueAt: number): boolean {
    if (this.mayHoldOlder === undefined) return false
    const key = bytes.subarray(keyAt, valueAt)
    return this.mayHoldOlder({ bytes: key, length: key.length, hash: this.hash.of(key, 0, key.length) })
  }

  /** Advances the streams whose rows were used; false: some have no further row in memory. */
  private advance(): boolean {
    let isAll = true
    for (const stream of this.live) {
      if (!stream.isTaken) continue
      if (stream.next()) stream.isTaken = false
      else isAll = false
    }
    return isAll
  }

  private async loadTaken(): Promise<void> {
    for (const stream of this.live) {
      if (!stream.isTaken) continue
      stream.isTaken = false
      await stream.load()
    }
    this.live = this.live.filter(stream => stream.isValid)
  }

  check(tables: readonly TableEntry[]): void {
    const rowsOut = tables.reduce((sum, { rows }) => sum + rows, 0)
    const sumOut = this.writer.sum.copy()
    sumOut.addSum(this.droppedSum)
    if (rowsOut + this.droppedRows === this.rowsIn && sumOut.equals(this.sumIn)) return
    throw lostRows(`${this.rowsIn} rows went in, ${rowsOut} came out and ${this.droppedRows} were dropped`)
  }
}

const isSameKey = (a: RunStream, b: RunStream): boolean =>
  compareBytes(a.bytes, a.keyAt, a.valueAt, b.bytes, b.keyAt, b.valueAt) === 0
