/**
 * Layers: ordered maps laid over one another. The topmost layer that knows a key decides; a tombstone
 * hides what lies below. One merge serves every view: uncommitted over committed, overlay over base.
 *
 * A layer must not change while one of its ranges is being read: ranges are consumed within one turn.
 */
import sortedBtree from "sorted-btree"
import { must } from "../base/assert.js"
import { FAMILY_NAMES, type Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"

const BTree = sortedBtree.default

/** `undefined` as a row's value in a layer: not known here. `row: undefined`: a tombstone. */
export interface Layered<Row> {
  readonly row: Row | undefined
}

export interface Layer<Row> {
  get(family: Family, key: RowKey): Layered<Row> | undefined
  range(family: Family, range: KeyRange): Iterator<readonly [RowKey, Layered<Row>]>
}

/** An ordered map in memory that also holds tombstones. */
export class MemoryLayer<Row> implements Layer<Row> {
  private readonly trees: ReadonlyMap<Family, sortedBtree.default<RowKey, Layered<Row>>> = new Map(
    FAMILY_NAMES.map(family => [family, new BTree<RowKey, Layered<Row>>(undefined, compareKeys)]),
  )
  private rows = 0

  get size(): number {
    return this.rows
  }

  get(family: Family, key: RowKey): Layered<Row> | undefined {
    return this.trees.get(family)?.get(key)
  }

  set(family: Family, key: RowKey, row: Row | undefined): void {
    if (this.trees.get(family)?.set(key, { row })) this.rows += 1
  }

  /** Forgets the key: lower layers speak for it again. */
  drop(family: Family, key: RowKey): void {
    if (this.trees.get(family)?.delete(key)) this.rows -= 1
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, Layered<Row>]> {
    const tree = this.trees.get(family)
    if (!tree) return
    if (range.reverse) {
      for (const pair of tree.entriesReversed(range.end, undefined, true)) {
        if (pair[0] < range.start) return
        yield [pair[0], pair[1]]
      }
    } else {
      for (const pair of tree.entries(range.start)) {
        if (pair[0] >= range.end) return
        yield [pair[0], pair[1]]
      }
    }
  }
}

/** Keys are byte strings: the engine's own comparison is byte order. */
export const compareKeys = (a: RowKey, b: RowKey): number => (a < b ? -1 : a > b ? 1 : 0)

export function getThrough<Row>(layers: readonly Layer<Row>[], family: Family, key: RowKey): Row | undefined {
  for (const layer of layers) {
    const found = layer.get(family, key)
    if (found) return found.row
  }
  return undefined
}

/** Living rows of a range, each key once, from the topmost layer that knows it. */
export function* rangeThrough<Row>(
  layers: readonly Layer<Row>[],
  family: Family,
  range: KeyRange,
): Generator<readonly [RowKey, Row]> {
  const direction = range.reverse ? -1 : 1
  const cursors = layers.map(layer => new Cursor(layer.range(family, range)))
  try {
    // Layers that hold nothing of the range, usually all but one, cost nothing from here on.
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
      if (first[1].row !== undefined) yield [first[0], first[1].row]
    }
  } finally {
    for (const cursor of cursors) cursor.close()
  }
}

type Pair<Row> = readonly [RowKey, Layered<Row>]

/** Where the reading of one layer stands. */
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
    if (head && (!first || compareKeys(head[0], first[0]) * direction < 0)) first = head
  }
  return must(first, "there is a row to read")
}
