/**
 * Version: the tables of one generation, as reads see them. Runs are ordered from the newest to the oldest; the first
 * that contains a key decides. A tombstone hides the versions in older runs.
 *
 * Reads are synchronous. The returned bytes are in cached blocks: callers must not write them, and a retained value
 * keeps its whole block in memory.
 */
import { must } from "@hayloft/base/assert.js"
import { FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import { canWaitForRows, RowsNeeded } from "@hayloft/base/rows/rows-needed.js"
import { compareBytes, ROW_FLAGS, type Block } from "../format/tables/table-block.js"
import { KeyHash, mayHold } from "../format/tables/table-filter.js"
import { RunCursor, type TableRun, type ShownTable } from "./run-cursor.js"
import type { Probe } from "./table.js"

const KEY_BYTES = 4096

/** A key to look up. Reused: valid until the next call of `set`. */
class ReusedProbe implements Probe {
  readonly bytes = Buffer.alloc(KEY_BYTES)
  readonly hash = new KeyHash()
  length = 0

  set(family: Family, key: RowKey): this {
    const { bytes } = this
    bytes[0] = FAMILIES[family]
    for (let i = 0; i < key.length; i += 1) bytes[i + 1] = key.charCodeAt(i)
    this.length = key.length + 1
    return this
  }

  /** Sets the key like `set`, for a lookup by filter. */
  hashed(family: Family, key: RowKey): this {
    this.set(family, key)
    this.hash.of(this.bytes, 0, this.length)
    return this
  }

  hashedBytes(key: Uint8Array): this {
    this.bytes.set(key, 0)
    this.length = key.length
    this.hash.of(this.bytes, 0, this.length)
    return this
  }
}

const probe = new ReusedProbe()
/** Ends of ranges are compared while `probe` finds their beginnings. */
const bound = new ReusedProbe()

/** Consecutive tombstones that one synchronous scan skips. */
const TOMBSTONES_PER_TURN = 10_000
/** Shorter runs of tombstones are skipped again by every scan. */
const TOMBSTONES_REMEMBERED_MIN = 1_000
const DEAD_RANGES_MAX = 256
const passing = new RowsNeeded("deleted rows are passed")

/** Ranges that contain only deleted rows, from a deleted row on up to another row. */
class DeadRanges {
  private readonly ends = new Map<string, Buffer>()

  /** Returns where scans continue that have reached this deleted row; undefined: at the next row. */
  endOf({ bytes, keyAt, valueAt }: RunCursor): Buffer | undefined {
    return this.ends.size === 0 ? undefined : this.ends.get(bytes.toString("latin1", keyAt, valueAt))
  }

  remember(start: string, { bytes, keyAt, valueAt }: RunCursor): void {
    if (this.ends.size >= DEAD_RANGES_MAX) this.ends.clear()
    this.ends.set(start, Buffer.from(bytes.subarray(keyAt, valueAt)))
  }
}

export class TableVersion {
  readonly dead = new DeadRanges()

  constructor(
    readonly runs: readonly TableRun[],
    readonly bytes: number,
  ) {}

  /** The stored value; undefined if there is no such row. */
  get(family: Family, key: RowKey): Uint8Array | undefined {
    if (this.runs.length === 0) return undefined
    probe.hashed(family, key)
    return this.getProbed()
  }

  /** Returns the same as `get`, by a key that begins with the number of its family. */
  find(key: Uint8Array): Uint8Array | undefined {
    probe.hashedBytes(key)
    return this.getProbed()
  }

  private getProbed(): Uint8Array | undefined {
    for (const run of this.runs) {
      const keyAt = find(run)
      if (keyAt < 0) continue
      const { bytes } = found
      const valueAt = found.valueAt(keyAt)
      if ((found.flags(keyAt) & ROW_FLAGS.tombstone) !== 0) return undefined
      return bytes.subarray(valueAt, valueAt + found.valueBytes(keyAt))
    }
    return undefined
  }

  *range(family: Family, { start, end, reverse = false }: KeyRange): Generator<readonly [RowKey, Uint8Array]> {
    if (start >= end || this.runs.length === 0) return
    const rows = new MergedRows(this, family, start, end, reverse)
    for (let row = rows.next(); row !== undefined; row = rows.next()) {
      const { bytes, keyAt, valueAt } = row
      yield [rowKeyOf(bytes.toString("latin1", keyAt + 1, valueAt)), bytes.subarray(valueAt, row.end)]
    }
  }

  scan(family: Family, { start, end }: KeyRange, visitor: RowVisitor): void {
    if (start >= end || this.runs.length === 0) return
    const rows = new MergedRows(this, family, start, end, false)
    for (let row = rows.next(); row !== undefined; row = rows.next()) {
      if (!visitor.row(row.bytes, row.keyAt + 1, row.valueAt, row.end)) return
    }
  }

  /** Returns true if a table of this level or a deeper one may contain the key: false is certain. */
  mayHold(key: Probe, fromLevel: number): boolean {
    for (const run of this.runs) {
      const first = run.tables[0]
      if (first === undefined || first.level < fromLevel) continue
      const shown = run.tables[run.tableOf(key.bytes, key.length)]
      if (shown === undefined || isBelow(key, shown)) continue
      if (shown.table.mayHold(key)) return true
    }
    return false
  }
}

let found: Block

/** Returns where the key of `probe` begins in the block `found`; -1 if the run does not contain it. */
function find(run: TableRun): number {
  const { bytes, length } = probe
  const shown = run.tables[run.tableOf(bytes, length)]
  if (shown === undefined || isBelow(probe, shown)) return -1
  const { table } = shown
  const partition = table.partitionOf(probe)
  if (partition === table.partitions.length) return -1
  const directory = table.directory(partition)
  if (!mayHold(directory.bytes, directory.filterAt, directory.filterBytes, probe.hash)) return -1
  found = table.block(partition, directory.search(bytes, length))
  const row = found.search(bytes, length)
  if (row === found.rows) return -1
  const keyAt = found.keyAt(row)
  return compareBytes(found.bytes, keyAt, found.valueAt(keyAt), bytes, 0, length) === 0 ? keyAt : -1
}

/** Returns true if the key is below all counted rows of the table. */
function isBelow({ bytes, length }: Probe, { table, from }: ShownTable): boolean {
  const { firstKey } = table.footer
  if (compareBytes(bytes, 0, length, firstKey, 0, firstKey.length) < 0) return true
  return from !== undefined && compareBytes(bytes, 0, length, from, 0, from.length) < 0
}

/** Rows of several runs in one order, each key once, from its newest run, without deleted rows. */
class MergedRows {
  private readonly cursors: RunCursor[] = []
  private readonly direction: number
  private readonly end: Buffer
  /** The cursor whose row was returned last. */
  private given: RunCursor | undefined

  constructor(
    private readonly version: TableVersion,
    family: Family,
    start: RowKey,
    end: RowKey,
    reverse: boolean,
  ) {
    this.direction = reverse ? -1 : 1
    bound.set(family, reverse ? start : end)
    this.end = Buffer.from(bound.bytes.subarray(0, bound.length))
    const { bytes, length } = probe.set(family, reverse ? end : start)
    for (const run of version.runs) {
      const cursor = new RunCursor(run)
      if (reverse) cursor.seekBelow(bytes, length)
      else cursor.seek(bytes, length)
      if (cursor.isValid) this.cursors.push(cursor)
    }
  }

  next(): RunCursor | undefined {
    let [passed, start] = [0, ""]
    for (;;) {
      if (this.given !== undefined) this.advance(this.given)
      this.given = undefined
      const first = this.first()
      if (first === undefined || this.isPastEnd(first)) return undefined
      if ((first.flags & ROW_FLAGS.tombstone) === 0) {
        if (passed >= TOMBSTONES_REMEMBERED_MIN && this.direction > 0) this.version.dead.remember(start, first)
        this.given = first
        this.skipOlder(first)
        return first
      }
      if (passed === 0 && this.jump(first)) continue
      if (passed === 0) start = first.bytes.toString("latin1", first.keyAt, first.valueAt)
      passed += 1
      if (passed > TOMBSTONES_PER_TURN && this.direction > 0 && canWaitForRows()) this.pause(start, first)
      this.given = first
      this.skipOlder(first)
    }
  }

  /** Skips deleted rows that an earlier scan has skipped. */
  private jump(first: RunCursor): boolean {
    const end = this.direction > 0 ? this.version.dead.endOf(first) : undefined
    if (end === undefined) return false
    for (const cursor of [...this.cursors]) {
      cursor.seek(end, end.length)
      if (!cursor.isValid) this.cursors.splice(this.cursors.indexOf(cursor), 1)
    }
    return true
  }

  /** The scan is run again later, and continues from here. */
  private pause(start: string, first: RunCursor): never {
    this.version.dead.remember(start, first)
    passing.read = () => first.pass()
    throw passing
  }

  private advance(cursor: RunCursor): void {
    if (this.direction > 0) cursor.next()
    else cursor.previous()
    if (!cursor.isValid) this.cursors.splice(this.cursors.indexOf(cursor), 1)
  }

  /** The next row in order; of several with one key the newest. */
  private first(): RunCursor | undefined {
    const { cursors, direction } = this
    let first = cursors[0]
    for (let i = 1; i < cursors.length && first !== undefined; i += 1) {
      const cursor = must(cursors[i], "it is within the list")
      if (direction * cursor.compareKey(first.bytes, first.keyAt, first.valueAt) < 0) first = cursor
    }
    return first
  }

  private isPastEnd(row: RunCursor): boolean {
    const order = row.compareKey(this.end, 0, this.end.length)
    return this.direction > 0 ? order >= 0 : order < 0
  }

  private skipOlder(first: RunCursor): void {
    for (let i = this.cursors.length - 1; i >= 0; i -= 1) {
      const cursor = this.cursors[i]
      if (cursor === undefined || cursor === first) continue
      if (cursor.compareKey(first.bytes, first.keyAt, first.valueAt) === 0) this.advance(cursor)
    }
  }
}
