/**
 * Back-off: increases the wait after each consecutive failure, with jitter, so that failures that happened together
 * are not retried together (Brooker, "Exponential backoff and jitter", 2015).
 */
import type { Random } from "../seams/random/contract.js"

interface BackoffLimits {
  readonly firstMs: number
  readonly mostMs: number
}

/** Returns the wait after the given number of consecutive failures (1, 2, …): half of it fixed, half random. */
export function backoffMs(failuresInARow: number, limits: BackoffLimits, random: Random): number {
  const fullMs = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(failuresInARow - 1, 30))
  return fullMs / 2 + random.below(Math.ceil(fullMs / 2) + 1)
}
