/**
 * Dates as HTTP and S3 write them, to and from milliseconds since 1970 (UTC).
 *
 * Promises  Parsing is exact: a day that its month does not have, or an hour 24, is not a date.
 * Limits    Texts over 64 characters and years outside 1970-9999 are not dates.
 * Sources   RFC 9110 section 5.6.7 (IMF-fixdate, RFC 850, asctime); ISO 8601, extended and basic form.
 */
const DATE_TEXT_MAX = 64
/** The last day whose year has four digits. */
export const DATE_MS_MAX = Date.UTC(9999, 11, 31)
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
const TIME = "(\\d{2}):(\\d{2}):(\\d{2})"
const ZONE = "(?:GMT|UTC|[+-]0000)"

const IMF = new RegExp(`^${DAY}, (\\d{1,2}) ([A-Z][a-z]{2}) (\\d{4}) ${TIME} ${ZONE}$`, "i")
const RFC850 = new RegExp(`^${LONG_DAY}, (\\d{2})-([A-Z][a-z]{2})-(\\d{2}) ${TIME} ${ZONE}$`, "i")
const ASCTIME = new RegExp(`^${DAY} ([A-Z][a-z]{2}) ([ \\d]\\d) ${TIME} (\\d{4})$`, "i")
const ISO = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):?(\d{2})))?$/i
const BASIC = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/

interface Fields {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  second: number
}

function millisecondsOf({ year, month, day, hour, minute, second }: Fields): number | undefined {
  if (year < 1970 || hour > 23 || minute > 59 || second > 60) return undefined
  const midnightMs = Date.UTC(year, month - 1, day)
  const date = new Date(midnightMs)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  return midnightMs + ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1000
}

const numbered = (match: RegExpExecArray, ...groups: number[]): number[] => groups.map(group => Number(match[group]))

function fieldsOf([year = NaN, month = NaN, day = NaN, hour = NaN, minute = NaN, second = NaN]: number[]): Fields {
  return { year, month, day, hour, minute, second }
}

const monthOf = (name: string | undefined): number => MONTHS.indexOf((name ?? "").toLowerCase()) + 1
/** RFC 850 has two digits: 1970-2069. */
const centuryOf = (year: number): number => (year < 70 ? 2000 + year : 1900 + year)

/** A date in one of HTTP's three forms; undefined if the text is not one. */
export function parseHttpDate(text: string): number | undefined {
  if (text.length > DATE_TEXT_MAX) return undefined
  let match = IMF.exec(text)
  if (match !== null) {
    const [day = 0, year = 0, hour = 0, minute = 0, second = 0] = numbered(match, 1, 3, 4, 5, 6)
    return millisecondsOf({ year, month: monthOf(match[2]), day, hour, minute, second })
  }
  match = RFC850.exec(text)
  if (match !== null) {
    const [day = 0, year = 0, hour = 0, minute = 0, second = 0] = numbered(match, 1, 3, 4, 5, 6)
    return millisecondsOf({ year: centuryOf(year), month: monthOf(match[2]), day, hour, minute, second })
  }
  match = ASCTIME.exec(text)
  if (match === null) return undefined
  const [day = 0, hour = 0, minute = 0, second = 0, year = 0] = numbered(match, 2, 3, 4, 5, 6)
  return millisecondsOf({ year, month: monthOf(match[1]), day, hour, minute, second })
}

/** An ISO 8601 date, with time and zone, or a day alone (its midnight in UTC); undefined if the text is not one. */
export function parseIsoDate(text: string): number | undefined {
  if (text.length > DATE_TEXT_MAX) return undefined
  const match = ISO.exec(text)
  if (match === null) return parseBasicDate(text)
  const fields = fieldsOf([...numbered(match, 1, 2, 3), ...[4, 5, 6].map(group => Number(match[group] ?? 0))])
  const wholeMs = millisecondsOf(fields)
  if (wholeMs === undefined) return undefined
  const fractionMs = Math.floor(Number(`0.${match[7] ?? "0"}`) * 1000)
  const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)]
  if (offsetHours > 23 || offsetMinutes > 59) return undefined
  const offsetMs = (offsetHours * 60 + offsetMinutes) * 60_000
  const timeMs = wholeMs + fractionMs - (match[8] === "-" ? -offsetMs : offsetMs)
  return timeMs < 0 ? undefined : timeMs
}

/** `20260102T030405Z`, as signatures use it; undefined if the text is not one. */
export function parseBasicDate(text: string): number | undefined {
  const match = BASIC.exec(text)
  return match === null ? undefined : millisecondsOf(fieldsOf(numbered(match, 1, 2, 3, 4, 5, 6)))
}

/** Any form above. */
export const parseDate = (text: string): number | undefined => parseHttpDate(text) ?? parseIsoDate(text)

const DAY_SECONDS = 86_400
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, "0"))
const two = (number: number): string => TWO_DIGITS[Math.floor(number)] ?? ""

/** Formats a time, and caches the text of its day: listings format thousands, mostly of one day. */
function dateWriter(dayOf: (midnight: Date) => string, end: string): (timeMs: number) => string {
  let known = NaN
  let dayText = ""
  let lastSeconds = NaN
  let lastText = ""
  return timeMs => {
    const seconds = Math.floor(timeMs / 1000)
    if (seconds === lastSeconds) return lastText
    const day = Math.floor(seconds / DAY_SECONDS)
    if (day !== known) {
      dayText = dayOf(new Date(day * DAY_SECONDS * 1000))
      known = day
    }
    const second = seconds - day * DAY_SECONDS
    lastSeconds = seconds
    lastText = `${dayText}${two(second / 3600)}:${two((second % 3600) / 60)}:${two(second % 60)}${end}`
    return lastText
  }
}

/** `Fri, 02 Jan 2026 03:04:05 GMT`. */
export const httpDate = dateWriter(midnight => midnight.toUTCString().slice(0, -"00:00:00 GMT".length), " GMT")
/** `2026-01-02T03:04:05.000Z`: the same second that `httpDate` shows. */
export const isoDate = dateWriter(midnight => midnight.toISOString().slice(0, -"00:00:00.000Z".length), ".000Z")
/** `20260102T030405Z`. */
export const basicDate = (timeMs: number): string => isoDate(timeMs).replace(/-|:|\.000/g, "")
