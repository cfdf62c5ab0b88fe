/**
 * An answer as text without random values and times, so that the answers of two servers can be compared.
 *
 * Promises  Everything else stays: the status line, names, case and values of headers, every byte of the body.
 *           Headers are sorted by name, because their order has no meaning; those of the same name keep their
 *           order. Ids of versions and uploads become numbers in the order of their first appearance on that
 *           server; times become their distance from now, so that a wrong time is still detected.
 */
import type { Answer, Collected, Header } from "./wire.js"

/** Access keys of sessions. */
const SESSION_KEY = /\bASIA[0-9A-Z]{16}\b/g
/** The account of the store's root; the setup chooses the ids of all others. */
const DRAWN_ACCOUNT = /<ID>[0-9a-f]{64}<\/ID>/g
const ID = /\b[0-9A-V]{26}\b/g
const ISO = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z/g
const HTTP_DATE = /\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g
const AMZ_DATE = /\b(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/g
/** No time in requests is half-way between two steps. */
const STEP_MS = 1_200_000
/** Times further away come from requests. */
const NEAR_MS = 40 * 86_400_000

/** Elements that repeat parts of the request, including signatures and times. */
const ECHOES = /<(StringToSign|StringToSignBytes|CanonicalRequest|CanonicalRequestBytes|SignatureProvided)>[^<]*/g

/** The ids in a body or in the headers, in their order. */
export const idsIn = ({ headers, body }: Answer): readonly string[] => [
  ...headers.flatMap(header => header[1].match(ID) ?? []),
  ...(isText(headers) ? (body.toString("latin1").match(ID) ?? []) : []),
]

/** The continuation token of a truncated listing. */
export const tokenIn = ({ headers, body }: Answer): string | undefined =>
  isText(headers) ? /<NextContinuationToken>([^<]+)</.exec(body.toString("latin1"))?.[1] : undefined

/** Version, checksum and position; the checksum covers the bucket's number, which depends on the order of creations. */
const TOKENS = /<((?:Next)?ContinuationToken)>([^<]+)/g
const TOKEN_HEAD_BYTES = 9

function placeOf(token: string): string {
  const bytes = Buffer.from(token, "base64url")
  return bytes[0] === 1 && bytes.length > TOKEN_HEAD_BYTES
    ? `after ${bytes.toString("latin1", TOKEN_HEAD_BYTES)}`
    : token
}

const isText = (headers: readonly Header[]): boolean =>
  headers.some(([name, value]) => name.toLowerCase() === "content-type" && value.startsWith("application/xml"))

function away(text: string, timeMs: number, nowMs: number): string {
  const offMs = timeMs - nowMs
  if (Number.isNaN(offMs) || Math.abs(offMs) > NEAR_MS) return text
  const steps = Math.round(offMs / STEP_MS)
  return steps === 0 ? "<now>" : `<now${steps > 0 ? "+" : ""}${steps}>`
}

const DAY_MS = 86_400_000
/** The day of the request, as a message about the scope of its signature quotes it. */
const QUOTED_DAY = /&quot;(\d{4})(\d\d)(\d\d)&quot;/g

/** A request may be sent before midnight, and shown after it. */
function shownDay(text: string, dayMs: number, nowMs: number): string {
  return Math.abs(nowMs - dayMs) < 2 * DAY_MS ? "<the day>" : text
}

const ANNOUNCEMENTS = new Set(["x-amz-expiration", "x-amz-abort-date"])

/** Which midnight depends on the time of day. */
const shownMidnight = (text: string): string => (Date.parse(text) % DAY_MS === 0 ? "<a midnight>" : text)

const REFUSED = 300
/** The document may contain how much of a form had arrived, which changes its length. */
const CLOSING = new Set(["connection", "keep-alive", "content-length"])
const PROPOSED_SIZE = /<ProposedSize>\d+/g

function withoutClosing(answer: Answer): Answer {
  if (answer.status < REFUSED) return answer
  const headers = answer.headers.filter(([name]) => !CLOSING.has(name.toLowerCase()))
  const text = answer.body.toString("latin1").replace(PROPOSED_SIZE, "<ProposedSize>…")
  return { ...answer, headers, body: Buffer.from(text, "latin1") }
}

/** The normalised answers of one server through a chapter. */
export class Normaliser {
  private readonly numbers = new Map<string, number>()

  constructor(private readonly nowMs: () => number) {}

  /**
   * `echoes`: whether the parts of errors that repeat the request are compared. `isLate`: a refusal may come before
   * the whole request has arrived, and then closes the connection.
   */
  text(collected: Collected, open: string, echoes: boolean, isLate: boolean): string {
    const { answers, timedOut } = collected
    const all = answers.map(answer => this.answer(isLate ? withoutClosing(answer) : answer, echoes))
    return [...all, `${open}${timedOut ? ", no answer in time" : ""}`].join("\n---\n")
  }

  private answer({ statusLine, headers, body, interims }: Answer, echoes: boolean): string {
    const lines = [...headers]
      .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : a.toLowerCase() > b.toLowerCase() ? 1 : 0))
      .map(([name, value]) => `${name}: ${this.header(name.toLowerCase(), value)}`)
    return [...interims, statusLine, ...lines, "", this.body(headers, body, echoes)].join("\n")
  }

  private header(name: string, value: string): string {
    if (name === "x-amz-request-id" || name === "x-amz-id-2" || name === "server-timing") return "<drawn>"
    if (name === "date" || name === "last-modified") return this.times(value)
    if (ANNOUNCEMENTS.has(name)) return value.replace(HTTP_DATE, shownMidnight)
    return this.ids(value)
  }

  private body(headers: readonly Header[], body: Buffer, echoes: boolean): string {
    const text = body.toString("latin1")
    if (!isText(headers)) return text
    const shown = echoes ? text : text.replace(ECHOES, "<$1>…")
    return this.ids(this.times(shown.replace(/<(RequestId|HostId)>[^<]*/g, "<$1>…")))
  }

  private times(text: string): string {
    const nowMs = this.nowMs()
    const named = (found: string): string => away(found, Date.parse(found), nowMs)
    return text
      .replace(ISO, named)
      .replace(HTTP_DATE, named)
      .replace(AMZ_DATE, (found, ...[y, mo, d, h, mi, s]: string[]) =>
        away(found, Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`), nowMs),
      )
      .replace(QUOTED_DAY, (found, ...[y, mo, d]: string[]) => shownDay(found, Date.parse(`${y}-${mo}-${d}`), nowMs))
  }

  private ids(text: string): string {
    const named = text.replace(SESSION_KEY, "<session key>").replace(DRAWN_ACCOUNT, "<ID>root</ID>")
    const placed = named.replace(TOKENS, (_, name: string, token: string) => `<${name}>${placeOf(token)}`)
    return placed.replace(ID, id => {
      const number = this.numbers.get(id) ?? this.numbers.size + 1
      this.numbers.set(id, number)
      return `<id ${number}>`
    })
  }
}
