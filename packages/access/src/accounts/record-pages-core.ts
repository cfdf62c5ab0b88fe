/**
 * Pages of records: part of a range of rows, decoded, and the start of the next page. Pure.
 *
 * Limits  A page reads `RECORDS_PER_PAGE` rows.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { mapAll } from "@hayloft/base/failing-last.js"
import { rowKeyAfter } from "@hayloft/base/ids.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"

const RECORDS_PER_PAGE = 100

export interface RecordPage<Item> {
  readonly items: readonly Item[]
  /** The key is undefined on the last page. */
  readonly next: RowKey | undefined
}

/** The page that begins at `start`, or at the start of the range if that is greater. */
export function readPage<Item>(
  view: RowView,
  family: Family,
  range: KeyRange,
  start: RowKey,
  itemOf: (key: RowKey, value: Uint8Array) => Item,
): RecordPage<Item> {
  const rows: (readonly [RowKey, Uint8Array])[] = []
  let next: RowKey | undefined
  const from = start > range.start ? start : range.start
  for (const [key, { value }] of view.range(family, { ...range, start: from, expectedRows: RECORDS_PER_PAGE + 1 })) {
    const last = rows.length === RECORDS_PER_PAGE ? rows.at(-1) : undefined
    if (last !== undefined) {
      next = rowKeyAfter(last[0])
      break
    }
    rows.push([key, value])
  }
  return { items: mapAll(rows, ([key, value]) => itemOf(key, value)), next }
}
