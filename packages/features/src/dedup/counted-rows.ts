/**
 * Rows of references that are counted together: the items of a job come in the order of their keys, and one walk over the
 * bucket counts thousands of them.
 */
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { recount, RECOUNT_LIMITS, type Recounted, type WalkSeams } from "@hayloft/objects/door/rows.js"

/** Keys of rows of references, from one on. `isReleased`: only of objects that are gone. */
export const referencesFrom = query(
  "ReferencesFrom",
  (view, bucketId: BucketId, start: RowKey, max: number, isReleased: boolean): readonly RowKey[] => {
    const rowKeys: RowKey[] = []
    const { end } = suffixRange(bucketRowKey(bucketId))
    for (const [rowKey, { value }] of view.range("references", { start, end, expectedRows: max })) {
      if (rowKeys.length === max) break
      // A row that cannot be read is one of those that its job fails for.
      if (rowKey === start || !isReleased || decodeReferences(value).isReleased) rowKeys.push(rowKey)
    }
    return rowKeys
  },
)

/** Runs whose rows are kept: jobs take turns page by page. */
const RUNS_MAX = 4

type Counting = Promise<ReadonlyMap<RowKey, Recounted>>

export class CountedRows {
  /** By run, the one that was used last at the end; the rows of a run are kept until it counts others. */
  private readonly runs = new Map<string, Counting>()

  constructor(private readonly seams: WalkSeams) {}

  /** The counts of a row in this run of a job, taken with those of later rows; undefined if the row is gone. */
  async of(run: string, bucketId: BucketId, rowKey: RowKey, isReleased = false): Promise<Recounted | undefined> {
    for (let counting = this.runs.get(run); counting !== undefined; counting = this.runs.get(run)) {
      const found = (await counting).get(rowKey)
      if (found !== undefined) return found
      // Unless another item has begun to count meanwhile.
      if (counting === this.runs.get(run)) break
    }
    const rows = this.countFrom(bucketId, rowKey, isReleased)
    keepLatest(this.runs, run, rows, RUNS_MAX)
    return (await rows).get(rowKey)
  }

  /** The run has ended. */
  forget(run: string): void {
    this.runs.delete(run)
  }

  private async countFrom(bucketId: BucketId, rowKey: RowKey, isReleased: boolean) {
    const rows = referencesFrom(bucketId, rowKey, RECOUNT_LIMITS.rowsMax, isReleased)
    const rowKeys = await this.seams.metadata.ask(rows)
    return recount(this.seams, bucketId, rowKeys)
  }
}
