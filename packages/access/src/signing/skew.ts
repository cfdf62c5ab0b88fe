/** The signing time that a signed request states, which must be close to the server's time. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"

export const SKEW_MS_MAX = 15 * 60_000

export const noDate = (): Failure =>
  fail("accessDenied", { message: "AWS authentication requires a valid Date or x-amz-date header" })

/** `timestamp`: the text that states `timeMs`. Throws `accessDenied` if it is malformed, `requestSkewed`. */
export function checkSkew(timeMs: number | undefined, timestamp: string, nowMs: number): number {
  if (timeMs === undefined) throw noDate()
  if (Math.abs(nowMs - timeMs) <= SKEW_MS_MAX) return timeMs
  const serverTime = isoDate(nowMs)
  throw fail("requestSkewed", { requestTime: timestamp, serverTime, maxAllowedSkewMilliseconds: SKEW_MS_MAX })
}
