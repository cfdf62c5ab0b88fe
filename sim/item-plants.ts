/** Planted bugs of K2V items, and of the places at which the core asks features for contents of buckets. */
import type { Edit, TestedPlant } from "./plants.js"

const CONTENTS = "packages/objects/src/commands/contents-core.ts"
const ITEMS_TEST = "packages/features/src/items/items"
const TOMBSTONES_TEST = "packages/features/src/items/tombstones"
const BACKED_UP = "packages/features/src/items/backed-up-items"
const RESCUE_TEST = "packages/node/src/rescue/rescue-items"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `items: ${bug}`,
  edits,
  caughtBy,
})

export const ITEM_PLANTS: readonly TestedPlant[] = [
  plant("a bucket with items is dropped", ITEMS_TEST, {
    file: CONTENTS,
    find: "if (contents.held(row).entries > 0) return",
    put: "if (contents.held(row).entries < 0) return",
  }),
  plant("rows of a bucket that is gone stay", ITEMS_TEST, {
    file: CONTENTS,
    find: "writes.push({ family, key, value: undefined })",
    put: "void family",
  }),
  plant("a start does not look for rows of buckets that are gone", ITEMS_TEST, {
    file: CONTENTS,
    find: "parseBucketId(Math.min(...found))",
    put: "undefined",
  }),
  plant("a count of what is used leaves out items", ITEMS_TEST, {
    file: "packages/features/src/quotas/usage-queries-core.ts",
    find: "bytes: contents.held(row).bytes",
    put: "bytes: 0 * contents.held(row).bytes",
  }),
  plant("a bucket with items is erased", "packages/node/src/erase/erasures", {
    file: "packages/objects/src/commands/erase-commands-core.ts",
    find: "held(row).values",
    put: "0 * held(row).values",
  }),
  plant("tombstones go by one of the two clocks", TOMBSTONES_TEST, {
    file: "packages/objects/src/due-time.ts",
    find: "Math.min(clockMs, clock.wallMs())",
    put: "Math.max(clockMs, clock.wallMs())",
  }),
  plant("tombstones go by a clock that is doubtful", TOMBSTONES_TEST, {
    file: "packages/objects/src/due-time.ts",
    find: "if (storeClock.isDoubtful) return undefined",
    put: "",
  }),
  plant("tombstones are looked for once", TOMBSTONES_TEST, {
    file: "packages/features/src/items/tombstone-job.ts",
    find: "clock.monotonicMs() + ITEM_LIMITS.tombstonesEveryMs",
    put: "clock.monotonicMs() + 2 * ITEM_LIMITS.tombstonesEveryMs",
  }),
  plant("a reconciliation puts items back from the oldest backup only", BACKED_UP, {
    file: "packages/upkeep/src/reconcile/found-backups.ts",
    find: "return [...snapshots].map(",
    put: "return [...snapshots].slice(-1).map(",
  }),
  plant("a backup that is not whole hides the whole one before it", BACKED_UP, {
    file: "packages/upkeep/src/reconcile/found-backups.ts",
    find: "isLast && isWhole(snapshot, number)",
    put: "isLast || isWhole(snapshot, number)",
  }),
  plant("a bucket that is not there any more ends a reconciliation", BACKED_UP, {
    file: "packages/features/src/items/backed-up-items.ts",
    find: 'if (!isFailure(error, "noSuchBucket", "bucketClosing")) throw error',
    put: 'if (!isFailure(error, "bucketClosing")) throw error',
  }),
  plant("a reconciliation brings no messages back", BACKED_UP, {
    file: "packages/features/src/queues/feature.ts",
    find: "for (const backup of backups) for await (const row of backup(signal)) await restoring.take(row)",
    put: "for (const backup of backups) void backup(signal)",
  }),
  plant("a rescue loses the last item of a backup", RESCUE_TEST, {
    file: "packages/features/src/items/backed-up-items.ts",
    find: "const last = items.finish()",
    put: "const last = (items.finish(), undefined)",
  }),
  plant("a rescue counts items without writing them", RESCUE_TEST, {
    file: "packages/features/src/items/backed-up-items.ts",
    find: "await bringBack(into.metadata, into.bucketIdOf(bucket), partition, portions)",
    put: "into.bucketIdOf(bucket)",
  }),
]
