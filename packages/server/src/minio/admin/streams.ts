/**
 * Streams of MinIO's admin API: requests as they end (`mc admin trace`), and what the store has noted (`mc admin logs`). They are
 * the streams of our admin API, line by line in MinIO's form, with the same limits; what keeps them open is white space.
 */
import { EVENT_PAGE, FOLLOWED_EVENT, streamOf, TRACE_LINE } from "@hayloft/admin/index.js"
import { assert } from "@hayloft/base/assert.js"
import type { z } from "zod"
import type { MinioContext } from "./call-context.js"

const NANOSECONDS_PER_MS = 1e6
/** MinIO's kind of trace for requests of S3. */
const S3 = 4
const TRACE = streamOf(TRACE_LINE)
const EVENTS = streamOf(FOLLOWED_EVENT)
type Request = Extract<z.output<typeof TRACE>, { readonly type: "request" }>
type Event = Omit<Extract<z.output<typeof EVENTS>, { readonly type: "event" }>, "type">

const iso = (ms: number): string => new Date(ms).toISOString()

interface Wanted {
  readonly onlyErrors: boolean
  readonly thresholdMs: number
}

function traced(line: Request, { onlyErrors, thresholdMs }: Wanted): object | undefined {
  const { status, totalMs, atMs, node = "", server, operation, path, method, remoteAddress, code, reason } = line
  if ((onlyErrors && status > 0 && status < 400) || totalMs < thresholdMs) return undefined
  const nanoseconds = Math.round(totalMs * NANOSECONDS_PER_MS)
  const [Time, Ended] = [iso(atMs - totalMs), iso(atMs)]
  return {
    type: S3,
    nodename: node,
    funcname: operation.includes(".") || operation.includes(":") ? operation : `${server}.${operation}`,
    time: Time,
    path,
    dur: nanoseconds,
    ...(code !== undefined && { error: reason === undefined ? code : `${code}: ${reason}` }),
    http: {
      request: {
        time: Time,
        proto: "HTTP/1.1",
        method,
        path,
        headers: line.userAgent === undefined ? {} : { "User-Agent": [line.userAgent] },
        client: remoteAddress,
      },
      response: { time: Ended, headers: {}, statuscode: status },
      stats: { inputbytes: line.receivedBytes, outputbytes: line.sentBytes, latency: nanoseconds, timetofirstbyte: 0 },
    },
  }
}

const LEVELS = { info: "INFO", warn: "WARNING", error: "ERROR" } as const

/** Clients leave out lines without the id of a deployment. */
function logged({ level, code, node = "", lastMs, count, fields }: Event, deploymentid: string): object {
  const said = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
  const message = [code, ...said, ...(count > 1 ? [`(${count} times)`] : [])].join(" ")
  const ConsoleMsg = `${iso(lastMs)} ${LEVELS[level]} ${message}`
  return { deploymentid, level: LEVELS[level], errKind: LEVELS[level], time: iso(lastMs), message, ConsoleMsg, node }
}

/** Splits a stream into its lines. */
async function* linesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) yield line
  }
}

/** A line, or white space in the place of one that is nothing for a client of MinIO. */
const sent = (shown: object | undefined): Uint8Array =>
  Buffer.from(shown === undefined ? "\n" : `${JSON.stringify(shown)}\n`)

function isPieces(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value
}

async function stream(call: Pick<MinioContext, "call">, id: string, query: Readonly<Record<string, string>>) {
  const pieces = await call.call(id, { query })
  assert(isPieces(pieces), "an operation that streams has pieces")
  return linesOf(pieces)
}

/** `1.5s`, `200ms`, `1m`: of a duration in Go; 0 for anything else. */
function msOfDuration(text: string): number {
  const units: Readonly<Record<string, number>> = {
    h: 3_600_000,
    m: 60_000,
    s: 1_000,
    ms: 1,
    us: 0.001,
    µs: 0.001,
    ns: 1e-6,
  }
  let ms = 0
  for (const [, number = "", unit = ""] of text.matchAll(/(?<!\d)(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g))
    ms += Number(number) * (units[unit] ?? 0)
  return ms
}

export async function trace(call: Pick<MinioContext, "call" | "query">): Promise<AsyncIterable<Uint8Array>> {
  const wanted = { onlyErrors: call.query("err") === "true", thresholdMs: msOfDuration(call.query("threshold")) }
  // There is nothing of other kinds, such as calls of disks: such a trace is open, and empty.
  const isShown = call.query("s3") !== "false" || call.query("all") === "true"
  const lines = await stream(call, "traceRequests", {})
  return (async function* () {
    for await (const text of lines) {
      const line = TRACE.parse(JSON.parse(text))
      if (line.type === "end") return
      yield sent(line.type === "request" && isShown ? traced(line, wanted) : undefined)
    }
  })()
}

const LOG_MAX = 1_000

/** The latest that were noted, and then those that are. */
export async function log(call: MinioContext): Promise<AsyncIterable<Uint8Array>> {
  const limit = Number(/^\d{1,6}$/.exec(call.query("limit"))?.[0] ?? 0)
  const max = String(limit === 0 ? LOG_MAX : Math.min(LOG_MAX, limit))
  const lines = await stream(call, "followEvents", { sinceMs: String(call.nowMs) })
  const { events } = await call.get("listEvents", EVENT_PAGE, { query: { max } })
  return (async function* () {
    for (const event of [...events].reverse()) yield sent(logged(event, call.storeId))
    for await (const text of lines) {
      const line = EVENTS.parse(JSON.parse(text))
      if (line.type === "end") return
      yield sent(line.type === "event" ? logged(line, call.storeId) : undefined)
    }
  })()
}
