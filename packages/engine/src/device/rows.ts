/**
 * Rows of one device: memtable over metadata store.
 *
 * Committed writes enter the active memtable and are readable from that moment. A checkpoint freezes it, opens a new
 * one, and drops the frozen one when the metadata store contains it. This module never writes the metadata store.
 *
 * Promises  A read sees every applied write, also of rows that a checkpoint set aside, whatever a checkpoint is doing meanwhile.
 * Limits    The memtable is bounded by the checkpointer's brake (see `checkpointer.ts`).
 */
import { assert, must } from "@hayloft/base/assert.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { LogSequence, RowKey } from "@hayloft/base/ids.js"
import { decodeStoredRow, valueEnd } from "../format/tables/stored-row.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { visitRow, type RowVisitor } from "@hayloft/base/rows/row-scan.js"
import type { StoreReader } from "@hayloft/base/seams/store/contract.js"
import type { AppliedWrite, DeviceRow, DeviceRows } from "./contract.js"
import { asideRows, printedRow } from "./checkpoint/rows-aside.js"
import { getThrough, layeredThrough, MemoryLayer, rangeThrough, type Layer, type Layered } from "./layers.js"

/**
 * Families of few rows that every request reads: cached decoded, as the same object until the metadata store changes.
 */
const KEPT: ReadonlySet<Family> = new Set<Family>(["names", "buckets"])
const KEPT_ROWS_MAX = 1_000

class StoreLayer implements Layer<DeviceRow> {
  private readonly kept = new Map<string, Layered<DeviceRow>>()

  constructor(private readonly store: StoreReader) {}

  /** The metadata store has changed. */
  forget(): void {
    this.kept.clear()
  }

  private open(family: Family, key: RowKey, bytes: Uint8Array): Layered<DeviceRow> {
    const { value, place } = decodeStoredRow(family, key, bytes)
    if (place === undefined) return { row: { value, payload: undefined } }
    const { volume, offsetBytes, lengthBytes } = place
    return { row: { value, payload: { in: "volume", volume, offsetBytes, lengthBytes } } }
  }

  get(family: Family, key: RowKey): Layered<DeviceRow> | undefined {
    if (KEPT.has(family)) return this.getKept(family, key)
    const bytes = this.store.get(family, key)
    return bytes && this.open(family, key, bytes)
  }

  private getKept(family: Family, key: RowKey): Layered<DeviceRow> | undefined {
    const name = `${family} ${key}`
    const known = this.kept.get(name)
    if (known) return known
    const bytes = this.store.get(family, key)
    const row = bytes && this.open(family, key, bytes)
    if (row && this.kept.size < KEPT_ROWS_MAX) this.kept.set(name, row)
    return row
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    this.store.scan(family, range, {
      row: (bytes, keyAt, valueAt, end) => visitor.row(bytes, keyAt, valueAt, valueEnd(bytes, end)),
    })
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, Layered<DeviceRow>]> {
    for (const [key, bytes] of this.store.range(family, range)) yield [key, this.open(family, key, bytes)]
  }
}

/** Merges the rows of the memtable into those of the metadata store. */
class MergingVisitor implements RowVisitor {
  private head: MemtableRow | undefined
  private headKey: Buffer
  private isOver = false

  constructor(
    first: MemtableRow,
    private readonly above: Iterator<MemtableRow>,
    private readonly visitor: RowVisitor,
  ) {
    this.head = first
    this.headKey = Buffer.from(first[0], "latin1")
  }

  row(bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean {
    while (this.head) {
      const order = this.headKey.compare(bytes, keyAt, valueAt)
      if (order > 0) break
      if (!this.giveHead()) return false
      if (order === 0) return true
    }
    this.isOver = !this.visitor.row(bytes, keyAt, valueAt, end)
    return !this.isOver
  }

  /** Visits the memtable rows above all rows of the metadata store. */
  finish(): void {
    while (this.head && !this.isOver) this.giveHead()
  }

  private giveHead(): boolean {
    const [key, { row }] = must(this.head, "there is one")
    const next = this.above.next()
    this.head = next.done ? undefined : next.value
    if (this.head) this.headKey = Buffer.from(this.head[0], "latin1")
    if (row) this.isOver = !visitRow(key, row.value, this.visitor)
    return !this.isOver
  }
}

type MemtableRow = readonly [RowKey, Layered<DeviceRow>]

export class Rows implements DeviceRows {
  private active = new MemoryLayer<DeviceRow>()
  /** Rows that the metadata store holds aside; undefined if there are none. */
  private aside: MemoryLayer<DeviceRow> | undefined
  private asideNames: readonly string[] = []
  private frozen: MemoryLayer<DeviceRow> | undefined
  private readonly storeLayer: StoreLayer
  private layers: readonly Layer<DeviceRow>[]
  private memtables: readonly MemoryLayer<DeviceRow>[]
  private appliedSequence: LogSequence
  private frozenSequence: LogSequence
  private failure: Failure | undefined

  /** `contained`: the log batch up to which the metadata store contains everything that is needed. */
  constructor(
    private readonly store: StoreReader,
    contained: LogSequence,
  ) {
    this.storeLayer = new StoreLayer(store)
    this.memtables = []
    this.layers = []
    this.readAside()
    this.appliedSequence = contained
    this.frozenSequence = contained
  }

  /** The last log batch whose writes are readable. */
  get applied(): LogSequence {
    return this.appliedSequence
  }

  /** Rows that the metadata store does not contain yet. */
  get memtableRows(): number {
    return this.active.size + (this.frozen?.size ?? 0)
  }

  /** Family and key of the rows that the metadata store could not hold as rows, safe to print. */
  get setAside(): readonly string[] {
    return this.asideNames
  }

  get isCheckpointing(): boolean {
    return this.frozen !== undefined
  }

  /** The last batch of the running checkpoint. */
  get frozenAt(): LogSequence {
    return this.frozenSequence
  }

  get(family: Family, key: RowKey): DeviceRow | undefined {
    return getThrough(this.layers, family, key)
  }

  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, DeviceRow]> {
    return rangeThrough(this.layers, family, range)
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    const above = layeredThrough(this.memtables, family, range)
    const first = above.next()
    if (first.done) this.storeLayer.scan(family, range, visitor)
    else {
      const merging = new MergingVisitor(first.value, above, visitor)
      this.storeLayer.scan(family, range, merging)
      merging.finish()
    }
  }

  /** Returns why the metadata store must not be read any more: it did not answer, or failed. */
  get failed(): Failure | undefined {
    return this.failure
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.store.warm(family, keys)?.catch((error: unknown) => {
      if (isFailure(error, "deviceFailed")) this.failure ??= error
      throw error
    })
  }

  apply(writes: readonly AppliedWrite[], sequence?: LogSequence): void {
    for (const { family, key, value, payload } of writes) {
      this.active.set(family, key, value && { value, payload })
    }
    if (sequence !== undefined && sequence > this.appliedSequence) this.appliedSequence = sequence
  }

  /** Begins a checkpoint: everything applied so far, up to the returned batch. */
  freeze(): LogSequence {
    assert(this.frozen === undefined, "one checkpoint at a time")
    this.frozen = this.active
    this.active = new MemoryLayer()
    this.stack()
    this.frozenSequence = this.appliedSequence
    return this.frozenSequence
  }

  /** Opens the generations committed to the store since. Reads do not see them before `adopt` or `dropFrozen`. */
  prepare(): Promise<void> {
    return this.store.prepare()
  }

  /** Reads see the prepared generation. */
  adopt(): void {
    this.store.adopt()
    this.storeLayer.forget()
    this.readAside()
  }

  private readAside(): void {
    const rows = asideRows(this.store)
    this.asideNames = rows.map(({ family, key }) => printedRow(family, key))
    this.aside = rows.length === 0 ? undefined : new MemoryLayer()
    for (const { family, key, stored } of rows) {
      this.aside?.set(family, key, { value: decodeStoredRow(family, key, stored).value, payload: undefined })
    }
    this.stack()
  }

  private stack(): void {
    this.memtables = [this.active, this.frozen, this.aside].filter(layer => layer !== undefined)
    this.layers = [...this.memtables, this.storeLayer]
  }

  /** The generation of the store that reads see. */
  get adopted(): number {
    return this.store.generation
  }

  /** The prepared generation contains the frozen memtable: reads see the generation instead. */
  dropFrozen(): void {
    this.adopt()
    this.frozen = undefined
    this.stack()
  }
}
