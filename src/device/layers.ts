/**
 * Layers: ordered maps laid over one another. The topmost layer that knows a key decides; a tombstone
 * hides what lies below. One merge serves every view: uncommitted over committed, overlay over base.
 *
 * A layer must not change while one of its ranges is being read: ranges are consumed within one turn.
 */
import sortedBtree from "sorted-btree"
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
  const cursors = layers.map(layer => layer.range(family, range))
  const heads = cursors.map(cursor => cursor.next())
  try {
    for (;;) {
      let first: readonly [RowKey, Layered<Row>] | undefined
      for (const head of heads) {
        if (!head.done && (!first || compareKeys(head.value[0], first[0]) * direction < 0)) first = head.value
      }
      if (!first) return
      for (const [i, head] of heads.entries()) {
        const cursor = cursors[i]
        if (cursor && !head.done && head.value[0] === first[0]) heads[i] = cursor.next()
      }
      if (first[1].row !== undefined) yield [first[0], first[1].row]
    }
  } finally {
    for (const cursor of cursors) cursor.return?.()
  }
}
