/**
 * Layers: ordered maps laid over one another. The topmost layer that contains a key decides; a tombstone hides the
 * layers below. One merge serves every view: uncommitted over committed, memtable over metadata store.
 *
 * A layer must not change while one of its ranges is being read: ranges are consumed synchronously.
 */
import sortedBtree from "sorted-btree"
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { compareTexts } from "@hayloft/base/bytes.js"

const BTree = sortedBtree.default

/** `undefined` as a row's value in a layer: not in this layer. `row: undefined`: a tombstone. */
export interface Layered<Row> {
  readonly row: Row | undefined
}

export interface Layer<Row> {
  get(family: Family, key: RowKey): Layered<Row> | undefined
  range(family: Family, range: KeyRange): Iterator<readonly [RowKey, Layered<Row>]>
}

/** So many new keys may wait to be sorted: a range read waits for no more than these. */
const UNSORTED_MAX = 512

/** The rows of one family: found by their key immediately, sorted a few at a time and when a range is read. */
class FamilyRows<Row> {
  readonly rows = new Map<RowKey, Layered<Row>>()
  private readonly sorted = new BTree<RowKey, true>(undefined, compareTexts)
  private unsorted: RowKey[] = []

  set(key: RowKey, row: Row | undefined): void {
    if (!this.rows.has(key)) this.unsorted.push(key)
    this.rows.set(key, { row })
    if (this.unsorted.length >= UNSORTED_MAX) this.sort()
  }

  drop(key: RowKey): void {
    if (this.rows.delete(key) && this.sorted.size > 0) this.sorted.delete(key)
  }

  *range(range: KeyRange): Generator<readonly [RowKey, Layered<Row>]> {
    this.sort()
    const { start, end } = range
    const keys = range.reverse ? this.sorted.entriesReversed(end, undefined, true) : this.sorted.entries(start)
    for (const [key] of keys) {
      if (range.reverse ? key < start : key >= end) return
      const row = this.rows.get(key)
      if (row) yield [key, row]
    }
  }

  /** Keys that were dropped before their turn need no place. */
  private sort(): void {
    for (const key of this.unsorted) if (this.rows.has(key)) this.sorted.set(key, true)
    this.unsorted = []
  }
}

/** An ordered map in memory that also holds tombstones. */
export class MemoryLayer<Row> implements Layer<Row> {
  private readonly families = new Map<Family, FamilyRows<Row>>()

  get size(): number {
    let rows = 0
    for (const family of this.families.values()) rows += family.rows.size
    return rows
  }

  get(family: Family, key: RowKey): Layered<Row> | undefined {
    return this.families.get(family)?.rows.get(key)
  }

  set(family: Family, key: RowKey, row: Row | undefined): void {
    let rows = this.families.get(family)
    if (rows === undefined) {
      rows = new FamilyRows()
      this.families.set(family, rows)
    }
    rows.set(key, row)
  }

  /** Removes the key: lower layers decide again. */
  drop(family: Family, key: RowKey): void {
    this.families.get(family)?.drop(key)
  }

  range(family: Family, range: KeyRange): Iterator<readonly [RowKey, Layered<Row>]> {
    return (this.families.get(family)?.range(range) ?? [])[Symbol.iterator]()
  }
}

/** Keys are byte strings: the engine's own comparison is byte order. */
export function getThrough<Row>(layers: readonly Layer<Row>[], family: Family, key: RowKey): Row | undefined {
  for (const layer of layers) {
    const found = layer.get(family, key)
    if (found) return found.row
  }
  return undefined
}

/** Live rows of a range, each key once, from the topmost layer that contains it. */
export function* rangeThrough<Row>(
  layers: readonly Layer<Row>[],
  family: Family,
  range: KeyRange,
): Generator<readonly [RowKey, Row]> {
  for (const [key, { row }] of layeredThrough(layers, family, range)) if (row !== undefined) yield [key, row]
}

/** The same with the tombstones. */
export function* layeredThrough<Row>(
  layers: readonly Layer<Row>[],
  family: Family,
  range: KeyRange,
): Generator<readonly [RowKey, Layered<Row>]> {
  const direction = range.reverse ? -1 : 1
  const cursors = layers.map(layer => new Cursor(layer.range(family, range)))
  try {
    // Layers without a row in the range, usually all but one, cost nothing from here on.
    let alive = cursors.filter(cursor => cursor.head !== undefined)
    while (alive.length > 0) {
      const first = firstOf(alive, direction)
      let isOver = false
      for (const cursor of alive) {
        if (cursor.head?.[0] !== first[0]) continue
        cursor.advance()
        isOver ||= cursor.head === undefined
      }
      if (isOver) alive = alive.filter(cursor => cursor.head !== undefined)
      yield first
    }
  } finally {
    for (const cursor of cursors) cursor.close()
  }
}

type Pair<Row> = readonly [RowKey, Layered<Row>]

/** Position of the reading of one layer. */
class Cursor<Row> {
  head: Pair<Row> | undefined

  constructor(private readonly rows: Iterator<Pair<Row>>) {
    this.advance()
  }

  advance(): void {
    const next = this.rows.next()
    this.head = next.done ? undefined : next.value
  }

  close(): void {
    this.rows.return?.()
  }
}

/** The first row in reading order; of several with one key the topmost layer's. */
function firstOf<Row>(cursors: readonly Cursor<Row>[], direction: number): Pair<Row> {
  let first: Pair<Row> | undefined
  for (const { head } of cursors) {
    if (head && (!first || compareTexts(head[0], first[0]) * direction < 0)) first = head
  }
  return must(first, "there is a row to read")
}
