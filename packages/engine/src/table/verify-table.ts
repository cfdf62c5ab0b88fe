/**
 * Verification of one table: every block is read and verified, and its rows are compared with the sums in the footer.
 *
 * Promises  Rows that are missing, extra, changed or out of order are found. Parity and ends that are damaged are rewritten
 *           if the table is one that repairs itself.
 */
import { fail } from "@hayloft/base/failures.js"
import { familyOfNumber } from "@hayloft/base/rows/families.js"
import { RowSum } from "../format/tables/row-sum.js"
import { compareBytes, ROW_FLAGS, type Block } from "../format/tables/table-block.js"
import type { Table } from "./table.js"

interface FamilySum {
  rows: number
  readonly sum: RowSum
}

/** Throws `corruptRow`, `stopping`. */
export async function verifyTable(table: Table, signal: AbortSignal): Promise<void> {
  const sums = new Map<number, FamilySum>()
  let last: Buffer | undefined
  for (let partition = 0; partition < table.partitions.length; partition += 1) {
    for (const block of await table.readPartition(partition)) last = addRows(block, sums, last, table.path)
    if (signal.aborted) throw fail("stopping")
  }
  for (const { family, rows, sum } of table.footer.totals) {
    const found = sums.get(family)
    if (found?.rows === rows && found.sum.equals(sum)) continue
    const name = familyOfNumber(family) ?? String(family)
    const message = `the metadata of family "${name}" is damaged: ${found?.rows ?? 0} rows, ${rows} were written`
    throw fail("corruptRow", { message, family: name, path: table.path })
  }
  await table.verifyEnd()
}

function addRows(block: Block, sums: Map<number, FamilySum>, last: Buffer | undefined, path: string): Buffer {
  let before = last
  for (let row = 0; row < block.rows; row += 1) {
    const keyAt = block.keyAt(row)
    const valueAt = block.valueAt(keyAt)
    const { bytes } = block
    if (before !== undefined && compareBytes(bytes, keyAt, valueAt, before, 0, before.length) <= 0) {
      throw fail("corruptRow", { path, message: "rows of the metadata store are out of order" })
    }
    before = bytes.subarray(keyAt, valueAt)
    const family = bytes[keyAt] ?? 0
    const total = sums.get(family) ?? { rows: 0, sum: new RowSum() }
    if (total.rows === 0) sums.set(family, total)
    total.rows += 1
    total.sum.add(bytes, keyAt, valueAt + block.valueBytes(keyAt), block.flags(keyAt) & ROW_FLAGS.tombstone)
  }
  return before ?? Buffer.alloc(0)
}
