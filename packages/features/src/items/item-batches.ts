/**
 * Items of a copy of the metadata in batches of one partition each.
 *
 * Limits  BATCH_WEIGHT_MAX portions, unless one item has more; one with a large value counts as many.
 */
import type { BucketId, ItemKey } from "@hayloft/base/ids.js"
import type { FoundItem, ItemPortion } from "./found-items-core.js"

const BATCH_WEIGHT_MAX = 512
const LARGE_COUNTS_AS = 16

interface ItemBatch {
  readonly bucketId: BucketId
  readonly partition: ItemKey
  readonly portions: readonly ItemPortion[]
  /** Those with portions. */
  readonly items: number
  /** Values that are lost. */
  readonly lost: number
  /** The batch is the last of its partition. */
  readonly isLast: boolean
}

const NOTHING = { portions: [], items: 0, lost: 0 } as const

export async function* batchesOf(found: AsyncIterable<FoundItem>): AsyncGenerator<ItemBatch, void> {
  let open: Omit<ItemBatch, "isLast"> | undefined
  let weight = 0
  for await (const { bucketId, partition, portions, lost } of found) {
    const isNext = open !== undefined && (open.bucketId !== bucketId || open.partition !== partition)
    if (open !== undefined && (isNext || weight >= BATCH_WEIGHT_MAX)) {
      yield { ...open, isLast: isNext }
      open = undefined
      weight = 0
    }
    const { items, ...before } = open ?? { bucketId, partition, ...NOTHING }
    open = {
      ...before,
      portions: [...before.portions, ...portions],
      items: items + (portions.length > 0 ? 1 : 0),
      lost: before.lost + lost,
    }
    weight += portions.reduce((sum, { value }) => sum + (value === undefined ? 1 : LARGE_COUNTS_AS), 0)
  }
  if (open !== undefined) yield { ...open, isLast: true }
}
