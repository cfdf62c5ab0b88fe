/** Clocks that differ: the time that a request or credentials of this store state, and how far it may be from the server's. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"

export const SKEW_MS_MAX = 15 * 60_000

export const noDate = (): Failure =>
  fail("accessDenied", { message: "AWS authentication requires a valid Date or x-amz-date header" })

/** Returns true for credentials that were issued while the clock was ahead. Once it is set right, they would last too long. */
export const isIssuedAhead = (issuedMs: number, nowMs: number, skewMs: number = SKEW_MS_MAX): boolean =>
  issuedMs - nowMs > skewMs

/** `timestamp`: the text that states `timeMs`. Throws `accessDenied` if it is malformed, `requestSkewed`. */
export function checkSkew(timeMs: number | undefined, timestamp: string, nowMs: number): number {
  if (timeMs === undefined) throw noDate()
  if (Math.abs(nowMs - timeMs) <= SKEW_MS_MAX) return timeMs
  const serverTime = isoDate(nowMs)
  throw fail("requestSkewed", { requestTime: timestamp, serverTime, maxAllowedSkewMilliseconds: SKEW_MS_MAX })
}
