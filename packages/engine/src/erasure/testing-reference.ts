/**
 * The reference codec: one multiplication per byte and coefficient. Tests compare the fast codec with it;
 * it is far too slow for anything else.
 */
import { multiply } from "./field.js"
import type { CodeShape, Matrix } from "./matrix.js"
import { parityRows, rebuildRows } from "./matrix.js"

function apply(rows: Matrix, inputs: readonly Uint8Array[]): Uint8Array[] {
  const lengthBytes = inputs[0]?.length ?? 0
  return rows.map(row => {
    const output = new Uint8Array(lengthBytes)
    for (const [j, input] of inputs.entries()) {
      const products = Uint8Array.from({ length: 256 }, (_, value) => multiply(row[j] ?? 0, value))
      for (let i = 0; i < lengthBytes; i += 1) output[i] = (output[i] ?? 0) ^ (products[input[i] ?? 0] ?? 0)
    }
    return output
  })
}

/** The m parity shards of k data shards of equal length. */
export function referenceEncode(shape: CodeShape, data: readonly Uint8Array[]): Uint8Array[] {
  return apply(parityRows(shape), data)
}

/** The wanted shards, by slot, from any k (the first k present are used). */
export function referenceRebuild(
  shape: CodeShape,
  present: ReadonlyMap<number, Uint8Array>,
  wanted: readonly number[],
): ReadonlyMap<number, Uint8Array> {
  const used = [...present].slice(0, shape.k)
  const rows = rebuildRows(
    shape,
    used.map(([slot]) => slot),
    wanted,
  )
  const rebuilt = apply(
    rows,
    used.map(([, bytes]) => bytes),
  )
  return new Map(wanted.map((slot, i) => [slot, rebuilt[i] ?? new Uint8Array()]))
}
