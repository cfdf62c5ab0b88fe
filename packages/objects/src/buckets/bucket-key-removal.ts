/** Removes the keys that buckets leave behind. */
import type { BucketId } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { ALL_BUCKETS } from "../commands/bucket-rows-core.js"
import { dropBucketKeys, keyedBuckets } from "../commands/bucket-key-commands-core.js"

/** Removes the keys of a bucket that is gone. */
export async function removeKeysOf(metadata: Pick<Metadata, "run">, bucketId: BucketId): Promise<void> {
  while (await metadata.run(dropBucketKeys(bucketId)));
}

/** Removes the keys that a crash has left. `present`: buckets that are known to exist. */
export async function removeKeysOfGoneBuckets(
  metadata: Pick<Metadata, "ask" | "run">,
  present: ReadonlySet<BucketId>,
): Promise<void> {
  for await (const { ids } of walkPages(ALL_BUCKETS.start, start => metadata.ask(keyedBuckets(start)))) {
    for (const id of ids) if (!present.has(id)) await removeKeysOf(metadata, id)
  }
}
