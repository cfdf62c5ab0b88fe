/** The commands and queries of K2V items. */
import { createHash } from "node:crypto"
import { parseItemKey, rowKeyOf, type ItemKey } from "@hayloft/base/ids.js"
import { decodeK2vItem, partitionKeyOf, sortKeyOf, timeOfChange } from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { bucketIdOfRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import type { ItemPortion } from "@hayloft/features/items/found-items-core.js"
import {
  collectTombstones,
  itemsBehind,
  restoreItems,
  writeItems,
  type ItemWrite,
} from "@hayloft/features/items/item-commands-core.js"
import {
  oldTombstones,
  readChanges,
  readChangeTimes,
  readContexts,
  readItem,
  readItems,
  readPartitions,
  requireMarker,
  type KeyBounds,
} from "@hayloft/features/items/item-queries-core.js"
import { dropContents, findContents, nextBucketWithContents } from "@hayloft/objects/commands/contents-core.js"
import { contextOfVector } from "@hayloft/features/items/vector-core.js"
import { commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"

const NODE = "000000000000002a"
const PARTITIONS = ["p", "p/q", "é"].map(parseItemKey)
const SORT_KEYS = ["", "a", "a!", "é"].map(parseItemKey)
const VALUES = [undefined, Buffer.from("one"), Buffer.from("two"), Buffer.alloc(3_000, "x"), Buffer.alloc(0)]

/** Returns where an item is, more often one that exists, and what a client has seen of it. */
function itemOf(scene: Scene) {
  const rows = scene.rows("k2vItems")
  if (rows.length > 0 && !scene.oneIn(3)) {
    const [key, row] = scene.pick(rows)
    const place = { bucketId: bucketIdOfRowKey(key), partition: partitionKeyOf(key), sortKey: sortKeyOf(key) }
    return { ...place, seen: scene.oneIn(2) ? contextOfVector(decodeK2vItem(row.value)) : NOTHING }
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

/**
 * Returns a portion of a copy that has seen some of the item, or of another store; now and then at the time of another
 * item's change.
 */
function portionOf(scene: Scene, sortKey: ItemKey): ItemPortion {
  const times = scene.rows("k2vChanges").map(([key]) => timeOfChange(key))
  const time = times.length > 0 && scene.oneIn(2) ? scene.pick(times) : scene.pick([3, 7, scene.nowMs])
  const node = scene.oneIn(2) ? NODE : "00000000000000ff"
  const bytes = scene.pick(VALUES)
  const discard = scene.pick([0, 0, time - 1])
  const large = bytes !== undefined && bytes.length > 1_000
  const sha256 = createHash("sha256")
    .update(bytes ?? "")
    .digest()
  const small = bytes === undefined ? ({ kind: "tombstone" } as const) : ({ kind: "inline", bytes } as const)
  const value = large ? ({ kind: "row", lengthBytes: bytes.length, sha256 } as const) : small
  const item = [{ node, discard, values: [{ time, value }] }]
  return { sortKey, item, value: large ? { node, time, bytes } : undefined }
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
  commandKind("RestoreItems", 2, scene => {
    const { bucketId, partition, sortKey } = itemOf(scene)
    const others = scene.some(SORT_KEYS, 4).filter(key => key !== sortKey)
    const portions = [sortKey, ...others].map(key => portionOf(scene, key))
    return restoreItems({ bucketId, partition, portions })
  }),
  commandKind("CollectTombstones", 2, scene => {
    const { bucketId, partition, sortKey } = itemOf(scene)
    const sortKeys = [sortKey, ...scene.some(SORT_KEYS, 4).filter(key => key !== sortKey)]
    return collectTombstones({ bucketId, partition, sortKeys }, scene.pick([scene.nowMs, 7]))
  }),
  commandKind("DropContents", 1, scene => dropContents(itemOf(scene).bucketId)),
]

export const ITEM_QUERIES: readonly PlayKind[] = [
  queryKind("ReadItem", scene => {
    const { bucketId, partition, sortKey, seen } = itemOf(scene)
    return readItem({ bucketId, node: NODE }, partition, sortKey, seen)
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
  queryKind("ItemsBehind", scene => {
    const { bucketId, partition, sortKey } = itemOf(scene)
    return itemsBehind({ bucketId, partition, portions: [portionOf(scene, sortKey)] })
  }),
  queryKind("OldTombstones", scene => oldTombstones(rowKeyOf("\x00"), scene.pick([scene.nowMs, 7]))),
  queryKind("RequireMarker", scene => {
    const { bucketId, partition } = itemOf(scene)
    return requireMarker(bucketId, partition, scene.pick([0, scene.nowMs]))
  }),
  queryKind("ReadChangeTimes", scene =>
    readChangeTimes(PARTITIONS.map(partition => objectRowKey(itemOf(scene).bucketId, partition))),
  ),
  queryKind("FindContents", scene => findContents(itemOf(scene).bucketId, "k2vPartitions")),
  queryKind("NextBucketWithContents", scene => nextBucketWithContents(itemOf(scene).bucketId)),
]
