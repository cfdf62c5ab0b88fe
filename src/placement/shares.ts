/**
 * Shares: how many slots each device should hold. By weight, but a device holds at most one slot of
 * each partition: what a heavy device cannot take goes to the others, by their weights.
 */
import { assert } from "../base/assert.js"

/** Sums to `total`; no member is above its cap. The caps must allow it. */
export function sharesOf(weights: readonly number[], caps: readonly number[], total: number): readonly number[] {
  const shares = weights.map(() => 0)
  let open = weights.map((_, index) => index)
  let left = total
  while (left > 0) {
    const weight = open.reduce((sum, index) => sum + (weights[index] ?? 0), 0)
    assert(weight > 0, "the devices can hold the layout")
    const due = (index: number) => (left * (weights[index] ?? 0)) / weight
    const over = open.filter(index => due(index) >= (caps[index] ?? 0))
    if (over.length === 0) {
      for (const index of open) shares[index] = due(index)
      break
    }
    for (const index of over) shares[index] = caps[index] ?? 0
    left -= over.reduce((sum, index) => sum + (caps[index] ?? 0), 0)
    open = open.filter(index => !over.includes(index))
  }
  return shares
}

/** The same in whole slots: what rounding down leaves goes to the largest fractions. */
export function wholeSharesOf(weights: readonly number[], caps: readonly number[], total: number): readonly number[] {
  const exact = sharesOf(weights, caps, total)
  const whole = exact.map(share => Math.floor(share + 1e-6))
  const left = total - whole.reduce((sum, share) => sum + share, 0)
  const fraction = (index: number) => (exact[index] ?? 0) - (whole[index] ?? 0)
  const byFraction = whole
    .map((_, index) => index)
    .filter(index => (whole[index] ?? 0) < (caps[index] ?? 0))
    .sort((a, b) => fraction(b) - fraction(a) || a - b)
  for (const index of byFraction.slice(0, left)) whole[index] = (whole[index] ?? 0) + 1
  return whole
}
