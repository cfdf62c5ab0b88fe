/**
 * Generator matrices of the codes, and the rows that rebuild lost shards.
 *
 * A code of k data and m parity shards multiplies the k data bytes of a column by a matrix whose first
 * k rows are the identity. Any k shards suffice exactly when every choice of k rows can be inverted:
 *   cauchy       parity[i][j] = 1 / ((k + i) xor j), every square part of which can be inverted (as ISA-L's)
 *   vandermonde  rows (r^0 … r^(k-1)), r = 0 … k+m-1, times the inverse of the first k (as Backblaze's and
 *                MinIO's): k rows of distinct points can always be inverted. (The shorter form that puts
 *                powers of 2 below the identity is refused here: it fails for some shapes.)
 *   xor          all ones, for m = 1 only
 * These are facts of the stored bytes: they never change.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { SHARDS_MAX } from "@hayloft/base/limits.js"
import { inverse, multiply, power } from "./field.js"
import type { MatrixKind } from "@hayloft/base/policy.js"

export interface CodeShape {
  /** Data shards. */
  readonly k: number
  /** Parity shards. */
  readonly m: number
  readonly matrix: MatrixKind
}

/** Rows of coefficients. */
export type Matrix = readonly (readonly number[])[]

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)
const at = (matrix: Matrix, row: number, column: number): number => matrix[row]?.[column] ?? 0

/** Throws `invalidConfig` unless such a code exists: k and m at least 1, together at most 32, xor with m = 1 only. */
function checkShape({ k, m, matrix }: CodeShape): void {
  const whole = Number.isInteger(k) && Number.isInteger(m) && k >= 1 && m >= 1 && k + m <= SHARDS_MAX
  if (!whole || (matrix === "xor" && m !== 1)) {
    throw fail("invalidConfig", { message: "no such code", matrix, k, m, shardsMax: SHARDS_MAX })
  }
}

function product(a: Matrix, b: Matrix): Matrix {
  const columns = range(b[0]?.length ?? 0)
  return a.map(row => columns.map(c => row.reduce((sum, value, i) => sum ^ multiply(value, at(b, i, c)), 0)))
}

/** The inverse of a square matrix (Gauss–Jordan); undefined if it is singular. */
function invert(matrix: Matrix): Matrix | undefined {
  const size = matrix.length
  const rows = matrix.map((row, r) => [...row, ...range(size).map(c => (c === r ? 1 : 0))])
  for (let column = 0; column < size; column += 1) {
    const pivotAt = rows.findIndex((row, r) => r >= column && row[column] !== 0)
    const pivot = rows[pivotAt]
    const swapped = rows[column]
    if (pivot === undefined || swapped === undefined) return undefined
    const scale = inverse(pivot[column] ?? 0)
    const scaled = pivot.map(value => multiply(value, scale))
    rows[pivotAt] = swapped
    rows[column] = scaled
    for (const [r, row] of rows.entries()) {
      const factor = row[column] ?? 0
      if (r !== column && factor !== 0) rows[r] = row.map((value, c) => value ^ multiply(factor, scaled[c] ?? 0))
    }
  }
  return rows.map(row => row.slice(size))
}

function vandermondeParity(k: number, m: number): Matrix {
  const rows = range(k + m).map(r => range(k).map(c => power(r, c)))
  const top = invert(rows.slice(0, k))
  assert(top !== undefined, "distinct points give an invertible matrix")
  return product(rows.slice(k), top)
}

/** The m rows of k coefficients that make the parity. Throws `invalidConfig` for a shape that does not exist. */
export function parityRows(shape: CodeShape): Matrix {
  checkShape(shape)
  const { k, m, matrix } = shape
  switch (matrix) {
    case "cauchy":
      return range(m).map(i => range(k).map(j => inverse((k + i) ^ j)))
    case "vandermonde":
      return vandermondeParity(k, m)
    case "xor":
      return [range(k).map(() => 1)]
  }
}

/** All k + m rows: row i is the content of slot i, as coefficients of the data shards. */
function generatorRows(shape: CodeShape): Matrix {
  const identity = range(shape.k).map(r => range(shape.k).map(c => (c === r ? 1 : 0)))
  return [...identity, ...parityRows(shape)]
}

/**
 * For each wanted slot, its coefficients over the shards of the `present` slots (exactly k of them, in
 * that order).
 */
export function rebuildRows(shape: CodeShape, present: readonly number[], wanted: readonly number[]): Matrix {
  assert(present.length === shape.k && new Set(present).size === shape.k, "exactly k shards rebuild the others")
  const generator = generatorRows(shape)
  const rowsOf = (slots: readonly number[]): Matrix => slots.map(slot => generator[slot] ?? [])
  const solved = invert(rowsOf(present))
  assert(solved !== undefined, "any k rows of a code can be inverted")
  return product(rowsOf(wanted), solved)
}
