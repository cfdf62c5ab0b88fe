/** Values in lifecycle rules: day counts, dates, sizes. With S3's errors. */
import { parseIsoDate } from "@hayloft/base/text/dates.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { LifecycleFilter } from "@hayloft/features/lifecycle/index.js"
import { childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"

const DAY_MS = 86_400_000
/** S3's type is an integer of 32 bits. */
const COUNT_MAX = 2_147_483_647
const NEWER_VERSIONS_MAX = 100

export const invalidRequest = (message: string): Failure => fail("invalidRequest", { message })
export const invalidArgument = (argumentName: string, message: string, argumentValue?: string): Failure =>
  fail("invalidArgument", { message, argumentName, argumentValue: argumentValue?.slice(0, 80) })

export const hasTags = ({ tags }: LifecycleFilter): boolean => tags !== undefined
export const hasSize = ({ sizeAbove, sizeBelow }: LifecycleFilter): boolean =>
  sizeAbove !== undefined || sizeBelow !== undefined

/** Throws `malformedXml` if it is missing. */
export function needed<Value>(value: Value | undefined, reason: string): Value {
  if (value === undefined) throw fail("malformedXml", { reason })
  return value
}

/** A whole number, as XML writes one. Throws `malformedXml` for any other text. */
export function wholeNumberOf(element: XmlElement, name: string): number | undefined {
  const text = childText(element, name)?.trim()
  if (text === undefined) return undefined
  if (!/^[+-]?\d{1,16}$/.test(text)) throw fail("malformedXml", { reason: `${name} is a whole number` })
  return Number(text)
}

/** The count that stands in an action; undefined if it is missing. Throws `malformedXml`, `invalidArgument`. */
export function daysOf(element: XmlElement, name: string, action: string): number | undefined {
  const days = wholeNumberOf(element, name)
  if (days === undefined) return undefined
  if (days > COUNT_MAX) throw fail("malformedXml", { reason: `${name} is at most ${COUNT_MAX}` })
  if (days > 0) return days
  throw invalidArgument(name, `'${name}' for ${action} action must be a positive integer`, String(days))
}

/** The same for a count that may be 0, as those of transitions may. */
export function nonnegativeOf(element: XmlElement, name: string, action: string): number | undefined {
  const days = wholeNumberOf(element, name)
  if (days === undefined || (days >= 0 && days <= COUNT_MAX)) return days
  if (days > COUNT_MAX) throw fail("malformedXml", { reason: `${name} is at most ${COUNT_MAX}` })
  throw invalidArgument(name, `'${name}' in ${action} action must be nonnegative`, String(days))
}

/** How many newer noncurrent versions an action keeps; undefined if it states none. */
export function newerKeptOf(element: XmlElement, action: string): number | undefined {
  const name = "NewerNoncurrentVersions"
  const count = daysOf(element, name, action)
  if (count === undefined || count <= NEWER_VERSIONS_MAX) return count
  throw invalidArgument(name, `'${name}' for ${action} action must be between 1 and ${NEWER_VERSIONS_MAX}`)
}

/** The `Date` of an action, a midnight. Throws `malformedXml`, `invalidArgument`. */
export function dateOf(element: XmlElement): number | undefined {
  const text = childText(element, "Date")?.trim()
  if (text === undefined) return undefined
  const dateMs = needed(parseIsoDate(text), "Date is a date of ISO 8601")
  if (dateMs % DAY_MS !== 0) throw invalidArgument("Date", "'Date' must be at midnight GMT", text)
  return dateMs
}
