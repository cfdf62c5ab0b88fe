/**
 * K2V items of metadata backups. A reconciliation merges them with those of the rolled-back database, so that it does not
 * matter which of both knows more; a rescue takes those of the snapshot over into the new store: what was written since is
 * lost, as items are rows.
 *
 * Promises  Concurrent values stay concurrent, deleted items stay deleted, and causality tokens of before mean what they
 *           meant. Of items only their partitions are kept in memory between a plan and its end. A rescue has an entry for
 *           each partition; another one for values that are lost.
 */
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type BucketId, type ItemKey } from "@hayloft/base/ids.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { MetadataRecord } from "@hayloft/engine/format/metadata-backup.js"
import type { BackedUpRows, Backup, BackupsOfRows, RowsEntry, RowsToRescue } from "@hayloft/objects/door/index.js"
import { FoundItems, isOfItems, type FoundItem } from "./found-items-core.js"
import { batchesOf } from "./item-batches.js"
import { itemsBehind } from "./item-commands-core.js"
import { bringBack } from "./item-restoring.js"

/** The entries of partitions, by their names. */
type Plan = ReadonlyMap<string, RowsEntry>

const nameOfPartition = (bucketId: BucketId, partition: ItemKey): string => `${bucketId}/${partition}`

async function* itemsIn(rows: AsyncIterable<MetadataRecord>): AsyncGenerator<FoundItem, void> {
  const items = new FoundItems()
  for await (const row of rows) {
    const item = items.take(row)
    if (item !== undefined) yield item
  }
  const last = items.finish()
  if (last !== undefined) yield last
}

async function* itemsOf(backups: readonly Backup[], signal: AbortSignal): AsyncGenerator<FoundItem, void> {
  for (const backup of backups) yield* itemsIn(backup(signal))
}

async function planOf({ metadata, backups }: BackupsOfRows, signal: AbortSignal): Promise<Plan> {
  const plan = new Map<string, RowsEntry>()
  for await (const { bucketId, partition, portions } of batchesOf(itemsOf(backups, signal))) {
    signal.throwIfAborted()
    // Their bytes are not compared: the same time in a vector is the same value.
    const known = portions.map(portion => ({ ...portion, value: undefined }))
    const behind = await metadata.ask(itemsBehind({ bucketId, partition, portions: known }))
    if (behind === 0) continue
    const name = nameOfPartition(bucketId, partition)
    // Two backups may have the same items.
    const before = plan.get(name)?.items ?? 0
    const of = { bucketId, key: textOfObjectKey(partition) }
    const entry: RowsEntry =
      behind === undefined
        ? { outcome: "listed", ...of, items: portions.length, reason: "its bucket does not exist any more" }
        : { outcome: "putBack", ...of, items: Math.max(before, behind) }
    plan.set(name, entry)
  }
  return plan
}

/** Returns the partitions that cannot be put back any more, and why. */
async function putBack(
  { metadata, backups }: BackupsOfRows,
  plan: Plan,
  check: () => Promise<void>,
  signal: AbortSignal,
): Promise<ReadonlyMap<RowsEntry, string>> {
  const refused = new Map<RowsEntry, string>()
  if ([...plan.values()].every(({ outcome }) => outcome === "listed")) return refused
  for await (const { bucketId, partition, portions } of batchesOf(itemsOf(backups, signal))) {
    signal.throwIfAborted()
    const entry = plan.get(nameOfPartition(bucketId, partition))
    if (entry?.outcome !== "putBack") continue
    try {
      await bringBack(metadata, bucketId, partition, portions, check)
    } catch (error) {
      if (!isFailure(error, "noSuchBucket", "bucketClosing")) throw error
      refused.set(entry, asFailure(error).message)
    }
  }
  return refused
}

/** Returns how many items there are, deleted ones too, and how many values of items are lost. */
async function rescue({ rows, into, bucketOf, tell }: RowsToRescue) {
  const sums = { items: 0, lostValues: 0 }
  let [items, lost] = [0, 0]
  for await (const batch of batchesOf(itemsIn(rows))) {
    const { bucketId, partition, portions, isLast } = batch
    const bucket = await bucketOf(bucketId)
    if (bucket === undefined) continue
    if (portions.length > 0 && into !== undefined) {
      await into.prepare()
      await bringBack(into.metadata, into.bucketIdOf(bucket), partition, portions)
    }
    items += batch.items
    lost += batch.lost
    if (!isLast) continue
    const entry = { kind: "items", bucket, key: textOfObjectKey(partition) }
    if (items > 0) await tell({ ...entry, notes: [plural(items, "item")] })
    if (lost > 0) await tell({ ...entry, isLost: true, notes: [`${plural(lost, "value")} lost`] })
    sums.items += items
    sums.lostValues += lost
    items = 0
    lost = 0
  }
  return sums
}

export const BACKED_UP_ITEMS: BackedUpRows = {
  what: "K2V items",
  isCompared: true,
  has: isOfItems,
  async reconcile(from, signal) {
    const plan = await planOf(from, signal)
    return {
      entries: [...plan.values()],
      putBack: async (check, applied) => ({ refused: await putBack(from, plan, check, applied) }),
    }
  },
  rescue,
}
