/**
 * Brings items of a copy of the metadata back into a store: a rescue into a new one, a reconciliation into one whose
 * database was rolled back.
 *
 * Promises  Vectors stay as they were, so that the causality tokens of clients mean what they meant. What is repeated
 *           changes nothing.
 */
import type { BucketId, ItemKey } from "@hayloft/base/ids.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { ItemPortion } from "./found-items-core.js"
import { firstOfDifferentItems, restoreItems } from "./item-commands-core.js"
import { ITEM_LIMITS } from "./limits.js"

/** Throws `noSuchBucket`, `bucketClosing`. `check` is called before each change. */
export async function bringBack(
  metadata: Pick<Metadata, "run">,
  bucketId: BucketId,
  partition: ItemKey,
  portions: readonly ItemPortion[],
  check: () => Promise<void> = async () => undefined,
): Promise<void> {
  for (let done = 0; done < portions.length;) {
    const some = firstOfDifferentItems(portions.slice(done, done + ITEM_LIMITS.writesPerCommand))
    await check()
    done += await metadata.run(restoreItems({ bucketId, partition, portions: some }))
  }
}
