/**
 * When an object of Swift ends: `X-Delete-At`, in seconds since 1970, and `X-Delete-After`, in seconds from now. Pure.
 *
 * Source  "Expiring object support", OpenStack Swift.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"

/** Swift writes these times with ten digits; a later time is this one. */
const SECONDS_MAX = 9_999_999_999

/** With the words that Swift's clients know, and nothing around them. */
const refused = (message: string) => fail("invalidRequest", { message, isPlain: true })

function wholeNumber(text: string, name: string): number {
  if (!/^\d+$/.test(text)) throw refused(`Non-integer ${name}`)
  return Math.min(Number(text), SECONDS_MAX)
}

/** The same moment by clocks of which one may be wrong. */
export interface Times {
  readonly earlierMs: number
  readonly laterMs: number
}

/** Returns undefined if the request does not say. Throws `invalidRequest`. */
export function expiryIn(headers: Headers, { earlierMs, laterMs }: Times): number | undefined {
  const [at, after] = [headers.get("x-delete-at") ?? "", headers.get("x-delete-after") ?? ""]
  if (after !== "") {
    const seconds = wholeNumber(after, "X-Delete-After")
    if (seconds === 0) throw refused("X-Delete-After in past")
    // So long at least: the second that has begun does not count.
    return Math.min(Math.ceil(laterMs / 1000) + seconds, SECONDS_MAX)
  }
  if (at === "") return undefined
  const seconds = wholeNumber(at, "X-Delete-At")
  if (seconds * 1000 <= earlierMs) throw refused("X-Delete-At in past")
  return seconds
}
