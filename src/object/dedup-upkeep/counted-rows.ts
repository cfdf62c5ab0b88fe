/**
 * Rows of references that are counted together: the items of a job come in the order of their keys, and one walk over the
 * bucket counts thousands of them.
 */
import type { BucketId, RowKey } from "../../base/ids.js"
import { decodeReferences } from "../../format/records.js"
import { bucketRowKey, suffixRange } from "../../format/row-key.js"
import { query } from "../../metadata/index.js"
import { recount, RECOUNT_LIMITS, type Recounted, type WalkSeams } from "./recount.js"

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

interface Counting {
  readonly run: string
  readonly rows: Promise<ReadonlyMap<RowKey, Recounted>>
}

export class CountedRows {
  /** The latest, whose rows are kept until others are counted. */
  private counting: Counting | undefined

  constructor(private readonly seams: WalkSeams) {}

  /** As counted in this run of a job, together with the rows that follow. Undefined: there is no such row. */
  async of(run: string, bucketId: BucketId, rowKey: RowKey, isReleased = false): Promise<Recounted | undefined> {
    for (;;) {
      const { counting } = this
      if (counting?.run === run) {
        const found = (await counting.rows).get(rowKey)
        if (found !== undefined) return found
        // Another item has begun to count meanwhile.
        if (counting !== this.counting) continue
      }
      const rows = this.countFrom(bucketId, rowKey, isReleased)
      this.counting = { run, rows }
      return (await rows).get(rowKey)
    }
  }

  private async countFrom(bucketId: BucketId, rowKey: RowKey, isReleased: boolean) {
    const rows = referencesFrom(bucketId, rowKey, RECOUNT_LIMITS.rowsMax, isReleased)
    const rowKeys = await this.seams.metadata.ask(rows)
    return recount(this.seams, bucketId, rowKeys)
  }
}
