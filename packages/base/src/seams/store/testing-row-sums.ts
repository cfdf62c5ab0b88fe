/**
 * Row sums: for each family the number of rows and the sum, modulo 2^64, of their hashes. A store keeps them in the
 * transaction that changes the rows, so that a walk over all rows can prove that none is missing, extra or changed.
 */
import { FAMILIES, FAMILY_NAMES, type Family } from "../../rows/families.js"
import { fail, type Failure } from "../../failures.js"
import type { RowKey } from "../../ids.js"
import { xxh64 } from "../../simd/xxh64.js"

/** Rows that a walk verifies in one turn of the event loop. */
const VERIFIED_ROWS_PER_TURN = 256

interface FamilySum {
  readonly rows: number
  readonly sum: bigint
}

const NO_ROWS: FamilySum = { rows: 0, sum: 0n }

const HEAD_BYTES = 3

/** The family, the length of the key, the key, the value. */
function rowHash(family: Family, key: RowKey, value: Uint8Array): bigint {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + key.length + value.length)
  bytes.writeUInt8(FAMILIES[family], 0)
  bytes.writeUInt16LE(key.length, 1)
  bytes.write(key, HEAD_BYTES, "latin1")
  bytes.set(value, HEAD_BYTES + key.length)
  return xxh64(bytes)
}

export class RowSums {
  private readonly sums: Map<Family, FamilySum>

  constructor(sums: Iterable<readonly [Family, FamilySum]> = []) {
    this.sums = new Map(sums)
  }

  of(family: Family): FamilySum {
    return this.sums.get(family) ?? NO_ROWS
  }

  add(family: Family, key: RowKey, value: Uint8Array): void {
    const { rows, sum } = this.of(family)
    this.sums.set(family, { rows: rows + 1, sum: BigInt.asUintN(64, sum + rowHash(family, key, value)) })
  }

  /** A row changes from one value to another; `undefined` if it is not there. */
  replace(family: Family, key: RowKey, before: Uint8Array | undefined, after: Uint8Array | undefined): void {
    if (before !== undefined) {
      const { rows, sum } = this.of(family)
      this.sums.set(family, { rows: rows - 1, sum: BigInt.asUintN(64, sum - rowHash(family, key, before)) })
    }
    if (after !== undefined) this.add(family, key, after)
  }

  copy(): RowSums {
    return new RowSums(this.sums)
  }
}

const damaged = (path: string, family: Family, how: string): Failure =>
  fail("corruptRow", { message: `the metadata of family "${family}" is damaged: ${how}`, family, path })

function requireSum(path: string, family: Family, found: FamilySum, recorded: FamilySum): void {
  if (found.rows === recorded.rows && found.sum === recorded.sum) return
  const rows = found.rows === recorded.rows ? `${found.rows} rows, some changed` : `${found.rows} rows`
  throw damaged(path, family, `${rows}, ${recorded.rows} were written`)
}

/**
 * Walks all rows of a snapshot, a few in each turn, and compares them with what was recorded. Keys must ascend: pages
 * of one tree that were exchanged add up to the same sum, and a search does not find their rows. Throws `corruptRow`
 * for the first family that is damaged, and `stopping` if the signal fires.
 */
export async function verifySums(
  path: string,
  rowsOf: (family: Family) => Iterable<readonly [RowKey, Uint8Array]>,
  recorded: RowSums,
  nextTurn: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (const family of FAMILY_NAMES) {
    const found = new RowSums()
    let inTurn = 0
    let last = ""
    for (const [key, value] of rowsOf(family)) {
      if (key <= last) throw damaged(path, family, "rows are out of order")
      last = key
      found.add(family, key, value)
      inTurn += 1
      if (inTurn < VERIFIED_ROWS_PER_TURN) continue
      inTurn = 0
      await nextTurn()
      if (signal.aborted) throw fail("stopping")
    }
    requireSum(path, family, found.of(family), recorded.of(family))
  }
}
