/**
 * Waiting longer after each failure in a row, with jitter, so that many that failed together do not
 * come back together (Brooker, "Exponential backoff and jitter", 2015).
 */
import type { Random } from "../seams/random/contract.js"

interface BackoffLimits {
  readonly firstMs: number
  readonly mostMs: number
}

/** How long to wait after the given number of failures in a row (1, 2, …): half of it fixed, half drawn. */
export function backoffMs(failuresInARow: number, limits: BackoffLimits, random: Random): number {
  const fullMs = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(failuresInARow - 1, 30))
  return fullMs / 2 + random.below(Math.ceil(fullMs / 2) + 1)
}
