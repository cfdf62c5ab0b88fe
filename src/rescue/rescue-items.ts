/**
 * The K2V items that a rescue takes over. They are rows, so only the snapshot contains them: what was written since is
 * lost.
 *
 * Promises  Concurrent values stay concurrent, deleted items stay deleted, and causality tokens of before mean what they
 *           meant. An entry for each partition; another one for values that are lost.
 */
import { textOfObjectKey, type BucketId, type BucketName } from "../base/ids.js"
import { plural } from "../base/quantity-text.js"
import { batchesOf, type FoundItem } from "../object/index.js"
import type { RescueEntry, RescueSummary } from "./report.js"
import type { RescueTarget } from "./target.js"

interface ItemsOfSnapshot {
  readonly found: AsyncIterable<FoundItem>
  /** In the new store; undefined: it has no such bucket, and is to have none. */
  readonly nameOf: (id: BucketId) => Promise<BucketName | undefined>
  readonly list: RescueEntry["list"]
}

export async function addItems(
  { found, nameOf, list }: ItemsOfSnapshot,
  target: Pick<RescueTarget, "addItems">,
  onEntry: (entry: RescueEntry) => Promise<void>,
): Promise<RescueSummary["items"]> {
  const sums = { count: 0, lostValues: 0 }
  let [items, lost] = [0, 0]
  for await (const batch of batchesOf(found)) {
    const { bucketId, partition, portions, isLast } = batch
    const bucket = await nameOf(bucketId)
    if (bucket === undefined) continue
    if (portions.length > 0) await target.addItems(bucket, partition, portions)
    items += batch.items
    lost += batch.lost
    if (!isLast) continue
    const entry = { kind: "items", bucket, key: textOfObjectKey(partition) } as const
    if (items > 0) await onEntry({ ...entry, list, isWritten: true, notes: [plural(items, "item")] })
    if (lost > 0)
      await onEntry({ ...entry, list: "incomplete", isWritten: false, notes: [`${plural(lost, "value")} lost`] })
    sums.count += items
    sums.lostValues += lost
    items = 0
    lost = 0
  }
  return sums
}
