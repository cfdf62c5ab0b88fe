/** The commands and queries of K2V items. */
import { createHash } from "node:crypto"
import { parseItemKey, type ItemKey } from "../../src/base/ids.js"
import { decodeK2vItem, partitionKeyOf, sortKeyOf } from "../../src/format/k2v-rows.js"
import type { CausalContext } from "../../src/format/k2v-token.js"
import { bucketIdOfRowKey, objectRowKey } from "../../src/format/row-key.js"
import { dropItemRows, writeItems, type ItemWrite } from "../../src/object/items/item-commands-core.js"
import {
  findEntry,
  nextBucketOfItems,
  readChanges,
  readChangeTimes,
  readContexts,
  readItem,
  readItems,
  readPartitions,
  type KeyBounds,
} from "../../src/object/items/item-queries-core.js"
import { contextOf } from "../../src/object/items/vector-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const NODE = "000000000000002a"
const PARTITIONS = ["p", "p/q", "é"].map(parseItemKey)
const SORT_KEYS = ["", "a", "a!", "é"].map(parseItemKey)
const VALUES = [undefined, Buffer.from("one"), Buffer.from("two"), Buffer.alloc(3_000, "x"), Buffer.alloc(0)]

/** Where an item is, more often one that exists, and what a client has seen of it. */
function itemOf(scene: Scene) {
  const rows = scene.rows("k2vItems")
  if (rows.length > 0 && !scene.oneIn(3)) {
    const [key, row] = scene.pick(rows)
    const place = { bucketId: bucketIdOfRowKey(key), partition: partitionKeyOf(key), sortKey: sortKeyOf(key) }
    return { ...place, seen: scene.oneIn(2) ? contextOf(decodeK2vItem(row.value)) : NOTHING }
  }
  const place = { bucketId: scene.bucketId(), partition: scene.pick(PARTITIONS), sortKey: scene.pick(SORT_KEYS) }
  return { ...place, seen: NOTHING }
}

const NOTHING: CausalContext = new Map()

function writeOf(scene: Scene, sortKey: ItemKey, seen: CausalContext): ItemWrite {
  const bytes = scene.pick(VALUES)
  const value = bytes && { bytes, sha256: createHash("sha256").update(bytes).digest() }
  return { sortKey, seen, value }
}

function boundsOf(scene: Scene): KeyBounds {
  if (scene.oneIn(4)) return { only: scene.pick(SORT_KEYS) }
  const some = (keys: readonly ItemKey[]) => (scene.oneIn(3) ? scene.pick(keys) : undefined)
  return { prefix: some(SORT_KEYS), start: some(SORT_KEYS), end: some(SORT_KEYS), reverse: scene.oneIn(2) }
}

export const ITEM_COMMANDS: readonly PlayKind[] = [
  commandKind("WriteItems", 3, scene => {
    const { bucketId, partition, sortKey, seen } = itemOf(scene)
    const others = scene.some(SORT_KEYS, 4).filter(key => key !== sortKey)
    const writes = [writeOf(scene, sortKey, seen), ...others.map(key => writeOf(scene, key, NOTHING))]
    return writeItems({ bucketId, partition, node: NODE, writes })
  }),
  commandKind("DropItemRows", 1, scene => dropItemRows(itemOf(scene).bucketId)),
]

export const ITEM_QUERIES: readonly PlayKind[] = [
  queryKind("ReadItem", scene => {
    const { bucketId, partition, sortKey, seen } = itemOf(scene)
    return readItem(bucketId, partition, sortKey, seen)
  }),
  queryKind("ReadItems", scene => {
    const { bucketId, partition } = itemOf(scene)
    const filter = { conflictsOnly: scene.oneIn(3), tombstones: scene.oneIn(2) }
    return readItems(bucketId, partition, boundsOf(scene), filter, scene.pick([1, 2, 100]))
  }),
  queryKind("ReadContexts", scene => {
    const { bucketId, partition } = itemOf(scene)
    return readContexts(bucketId, partition, boundsOf(scene))
  }),
  queryKind("ReadPartitions", scene => readPartitions(itemOf(scene).bucketId, boundsOf(scene), scene.pick([1, 100]))),
  queryKind("ReadChanges", scene => {
    const { bucketId, partition } = itemOf(scene)
    return readChanges(bucketId, partition, boundsOf(scene), scene.pick([0, 0, scene.nowMs]))
  }),
  queryKind("ReadChangeTimes", scene =>
    readChangeTimes(PARTITIONS.map(partition => objectRowKey(itemOf(scene).bucketId, partition))),
  ),
  queryKind("FindEntry", scene => findEntry(itemOf(scene).bucketId)),
  queryKind("NextBucketOfItems", scene => nextBucketOfItems(itemOf(scene).bucketId)),
]
