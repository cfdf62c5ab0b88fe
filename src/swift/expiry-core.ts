/**
 * When an object of Swift ends: `X-Delete-At`, in seconds since 1970, and `X-Delete-After`, in seconds from now. Pure.
 *
 * Source  "Expiring object support", OpenStack Swift.
 */
import { fail } from "../base/failures.js"
import type { Headers } from "../base/request-headers.js"

const wholeNumber = (text: string, name: string): number => {
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw fail("invalidRequest", { message: `Non-integer ${name}` })
}

/** Undefined: the request does not say. Throws `invalidRequest`. */
export function expiryIn(headers: Headers, nowMs: number): number | undefined {
  const [at, after] = [headers.get("x-delete-at") ?? "", headers.get("x-delete-after") ?? ""]
  if (after !== "") {
    const seconds = wholeNumber(after, "X-Delete-After")
    if (seconds === 0) throw fail("invalidRequest", { message: "X-Delete-After in past" })
    // So long at least: the second that has begun does not count.
    return Math.ceil(nowMs / 1000) + seconds
  }
  if (at === "") return undefined
  const seconds = wholeNumber(at, "X-Delete-At")
  if (seconds * 1000 <= nowMs) throw fail("invalidRequest", { message: "X-Delete-At in past" })
  return seconds
}
