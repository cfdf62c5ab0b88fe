/**
 * Row walk: all rows of some families in small steps, so that even millions of them delay no request.
 *
 * Promises  A row that exists from beginning to end is met once. A row that is added or removed meanwhile may be met or
 *           not; `hasPassed` shows which keys the walk will not meet any more.
 * Limits    The caller's, on the rows of one step, which are read synchronously.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { DeviceRow, DeviceRows } from "../device/contract.js"
import { KEY_BYTES_MAX } from "@hayloft/base/seams/store/contract.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"

const FIRST_KEY = rowKeyOf("\x00")
const BEHIND_ALL = rowKeyOf("\xff".repeat(KEY_BYTES_MAX))

type VisitRow = (family: Family, key: RowKey, row: DeviceRow) => void

export class RowWalk {
  private familyAt = 0
  private last: RowKey | undefined

  constructor(
    private readonly rows: DeviceRows,
    private readonly families: readonly Family[],
  ) {}

  get isOver(): boolean {
    return this.familyAt >= this.families.length
  }

  hasPassed(family: Family, key: RowKey): boolean {
    const at = this.families.indexOf(family)
    return at < this.familyAt || (at === this.familyAt && this.last !== undefined && key <= this.last)
  }

  /** Visits up to so many rows. Throws `corruptRow` if the metadata store is damaged. */
  step(rowsMax: number, visit: VisitRow): void {
    let left = rowsMax
    while (left > 0) {
      const family = this.families[this.familyAt]
      if (family === undefined) return
      // The shortest key behind the last one.
      const start = this.last === undefined ? FIRST_KEY : rowKeyAfter(this.last)
      for (const [key, row] of this.rows.range(family, { start, end: BEHIND_ALL })) {
        this.last = key
        visit(family, key, row)
        left -= 1
        if (left === 0) return
      }
      this.familyAt += 1
      this.last = undefined
    }
  }
}
