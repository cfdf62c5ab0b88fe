/**
 * Items in a copy of the metadata, and the portions in which they are brought back: an item may be larger than what one
 * command writes. Pure.
 *
 * A portion is the item with some of its values. Merged one after another, in any order, they are the item.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, ItemKey, RowKey } from "@hayloft/base/ids.js"
import {
  decodeK2vItem,
  decodeK2vValue,
  itemRowKeyOf,
  partitionKeyOf,
  sortKeyOf,
  valueRowKey,
  type K2vDot,
  type K2vItem,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { VectorNode } from "@hayloft/engine/format/k2v/k2v-token.js"
import { bucketIdOfRowKey } from "@hayloft/engine/format/row-key.js"

/** A value that has a row of its own. */
export interface ValueRow {
  readonly node: VectorNode
  readonly time: number
  readonly bytes: Uint8Array
}

export interface ItemPortion {
  readonly sortKey: ItemKey
  readonly item: K2vItem
  /** The row of the one value of the portion that has a row of its own. */
  readonly value: ValueRow | undefined
}

export interface FoundItem {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  readonly sortKey: ItemKey
  /** None: all values of the item are lost. */
  readonly portions: readonly ItemPortion[]
  /** Values whose rows are not in the copy. */
  readonly lost: number
}

interface CopiedRow {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
}

const ITEM_AND_VALUES: ReadonlySet<Family> = new Set<Family>(["k2vItems", "k2vValues"])

export const isOfItems = ({ family }: Pick<CopiedRow, "family">): boolean => ITEM_AND_VALUES.has(family)

/** Collects items from rows in the order of their keys, those of both families together. If a row occurs twice, the later one counts. */
export class FoundItems {
  private key: RowKey | undefined
  private row: Uint8Array | undefined
  private values = new Map<RowKey, Uint8Array>()

  /** Returns the item before it, once a row is of another one. */
  take({ family, key, value }: CopiedRow): FoundItem | undefined {
    if (!isOfItems({ family })) return undefined
    const of = itemRowKeyOf(key)
    const finished = of === this.key ? undefined : this.finish()
    this.key = of
    if (family === "k2vItems") this.row = value
    else this.values.set(key, value)
    return finished
  }

  /** The last item. */
  finish(): FoundItem | undefined {
    const { key, row, values } = this
    this.key = undefined
    this.row = undefined
    this.values = new Map()
    if (key === undefined || row === undefined) return undefined
    const item = decodeK2vItem(row)
    const bytesOf = (node: VectorNode, time: number): Uint8Array | undefined => {
      const found = values.get(valueRowKey(key, node, time))
      return found && decodeK2vValue(found)
    }
    const sortKey = sortKeyOf(key)
    return {
      bucketId: bucketIdOfRowKey(key),
      partition: partitionKeyOf(key),
      sortKey,
      ...portionsOf(sortKey, item, bytesOf),
    }
  }
}

function portionsOf(
  sortKey: ItemKey,
  item: K2vItem,
  bytesOf: (node: VectorNode, time: number) => Uint8Array | undefined,
): Pick<FoundItem, "portions" | "lost"> {
  const large: ItemPortion[] = []
  let lost = 0
  for (const { node, values } of item) {
    for (const dot of values) {
      if (dot.value.kind !== "row") continue
      const bytes = bytesOf(node, dot.time)
      if (bytes === undefined) lost += 1
      else large.push({ sortKey, item: [{ node, discard: 0, values: [dot] }], value: { node, time: dot.time, bytes } })
    }
  }
  const isSmall = ({ value }: K2vDot): boolean => value.kind !== "row"
  // If a value is lost, the values that it replaced are better than none.
  const small = item.map(({ node, discard, values }) => {
    return { node, discard: lost > 0 ? 0 : discard, values: values.filter(isSmall) }
  })
  // The portions that add values come first: an item never seems to be without any.
  const isThere = small.some(({ values }) => values.length > 0) || large.length > 0
  return { portions: isThere ? [...large, { sortKey, item: small, value: undefined }] : [], lost }
}
