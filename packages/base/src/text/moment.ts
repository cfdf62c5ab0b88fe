/**
 * Moments: points in time at which buckets are read, in whole microseconds since 1970. Pure.
 *
 * Promises  A text of `textOfMoment` is parsed to the same moment.
 * Refuses   Texts without a time zone, with more than six decimals, and numbers of another length: they could be seconds or
 *           milliseconds.
 */
import { parseIsoDate } from "./dates.js"

const WITH_TIME = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(Z|[+-]\d{2}:\d{2})$/i
/** Sixteen digits: from 2001 to 2286. */
const MICROSECONDS = /^\d{16}$/

/** The rule for users. */
export const MOMENT_FORM =
  "a time like 2026-01-31T09:30:00Z, with up to six decimals, or 16 digits: microseconds since 1970"

/** Parses RFC 3339 with a time zone and up to six decimals, or 16 digits; undefined if the text is neither. */
export function parseMoment(text: string): number | undefined {
  if (MICROSECONDS.test(text)) return Number(text)
  const [, time, decimals = "", zone] = WITH_TIME.exec(text) ?? []
  const timeMs = time === undefined ? undefined : parseIsoDate(`${time}${zone}`)
  return timeMs === undefined ? undefined : timeMs * 1000 + Number(decimals.padEnd(6, "0"))
}

/** RFC 3339 in UTC, with six decimals. */
export function textOfMoment(us: number): string {
  const seconds = Math.floor(us / 1_000_000)
  const text = new Date(seconds * 1000).toISOString().slice(0, -".000Z".length)
  return `${text}.${String(us - seconds * 1_000_000).padStart(6, "0")}Z`
}
