/** Removes the rows that features leave of buckets that are gone. */
import { parseBucketId, type BucketId } from "@hayloft/base/ids.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { dropContents, nextBucketWithContents } from "../commands/contents-core.js"

export async function removeContentsOf(metadata: Pick<Metadata, "run">, bucketId: BucketId): Promise<void> {
  while (await metadata.run(dropContents(bucketId)));
}

/** Removes what a crash has left. `present`: buckets that are known to exist. */
export async function removeContentsOfGoneBuckets(
  metadata: Pick<Metadata, "ask" | "run">,
  present: ReadonlySet<BucketId>,
): Promise<void> {
  let id = await metadata.ask(nextBucketWithContents(parseBucketId(1)))
  while (id !== undefined) {
    if (!present.has(id)) await removeContentsOf(metadata, id)
    id = await metadata.ask(nextBucketWithContents(parseBucketId(id + 1)))
  }
}
