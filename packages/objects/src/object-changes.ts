/** Changes of objects that another job copies elsewhere: what there is to copy, in pages, and what is done. */
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { endObjectChange, noteObjectChanges } from "./commands/changes-core.js"
import type { Bucket } from "./contract.js"
import {
  bucketsWithChanges,
  readObjectChanges,
  type ChangesPage,
  type NotedChange,
} from "./queries/changes-page-core.js"

export type { NotedChange } from "./queries/changes-page-core.js"

export interface ObjectChanges {
  /** The open buckets whose changes are noted. */
  buckets(): Promise<readonly Bucket[]>
  /**
   * The next changes that are not copied, and removals that were copied and were noted before `keptFromMs`: at most `max`, of the
   * first bucket that has any from this row on.
   */
  page(from: RowKey | undefined, keptFromMs: number, max: number): Promise<ChangesPage>
  /** Notes objects that are there as changed. */
  note(bucketId: BucketId, keys: readonly ObjectKey[]): Promise<void>
  /** A change was copied: `keeps` the time of a removal. Nothing happens if the object has changed again. */
  end(change: NotedChange, keeps: boolean): Promise<void>
}

export const openObjectChanges = (metadata: Pick<Metadata, "ask" | "run">): ObjectChanges => ({
  buckets: () => asPromise(() => metadata.ask(bucketsWithChanges())),
  page: (from, keptFromMs, max) => asPromise(() => metadata.ask(readObjectChanges(from, keptFromMs, max))),
  note: (bucketId, keys) => metadata.run(noteObjectChanges(bucketId, keys)),
  end: ({ bucketId, key, id }, keeps) => metadata.run(endObjectChange({ bucketId, key, id }, keeps)),
})
