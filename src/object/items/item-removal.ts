/** Removes what the items of buckets leave behind: tombstones, and what is counted of partitions. */
import { parseBucketId, type BucketId } from "../../base/ids.js"
import type { Metadata } from "../../metadata/index.js"
import { dropItemRows } from "./item-commands-core.js"
import { nextBucketOfItems } from "./item-queries-core.js"

/** Removes the item rows of a bucket that is gone. */
export async function removeItemsOf(metadata: Pick<Metadata, "run">, bucketId: BucketId): Promise<void> {
  while (await metadata.run(dropItemRows(bucketId)));
}

/** Removes what a crash has left. `present`: buckets that are known to exist. */
export async function removeItemsOfGoneBuckets(
  metadata: Pick<Metadata, "ask" | "run">,
  present: ReadonlySet<BucketId>,
): Promise<void> {
  let id = await metadata.ask(nextBucketOfItems(parseBucketId(1)))
  while (id !== undefined) {
    if (!present.has(id)) await removeItemsOf(metadata, id)
    id = await metadata.ask(nextBucketOfItems(parseBucketId(id + 1)))
  }
}
