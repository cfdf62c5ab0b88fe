/**
 * The reports of nodes to each other about the requests that they serve: those that have just ended, and traffic as
 * counts. Parts of node operations (`node-operation.ts`): positional arrays; null stands for none.
 *
 * Counts are requests, errors of clients, errors of the server, bytes received, bytes sent, and then the requests by
 * duration: of each bin, the first of which ends at 0.25 ms and each other at 1.5 times the end of the one before; the
 * last has no end. Bins at the end that count nothing are left out.
 */
import { fail } from "../base/failures.js"
import { pick, type RecordReader } from "./pack.js"

export const TRAFFIC_BINS = { count: 34, firstEndMs: 0.25, factor: 1.5 } as const

/** Numbers are on the wire: append only. */
const WINDOWS = ["minute", "hour"] as const
export type TrafficWindow = (typeof WINDOWS)[number]

/** A request that has ended. */
export interface LiveRequest {
  /** When it ended. */
  readonly atMs: number
  /** The port: s3, admin, websites. */
  readonly server: string
  readonly requestId: string
  readonly method: string
  /** "none" if it was not determined. */
  readonly operation: string
  /** Without its query. */
  readonly path: string
  readonly bucket?: string
  readonly key?: string
  /** 0: it got no response. */
  readonly status: number
  readonly code?: string
  readonly reason?: string
  readonly totalMs: number
  readonly authMs?: number
  readonly metaMs?: number
  readonly dataMs?: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly account?: string
  readonly accessKeyId?: string
  readonly remoteAddress: string
  readonly userAgent?: string
  /** The client left before the response had been sent. */
  readonly clientGone?: true
}

/** Members that are undefined let everything through. */
export interface RequestFilter {
  readonly server?: string | undefined
  /** Without regard to case. */
  readonly operation?: string | undefined
  readonly bucket?: string | undefined
  /** The prefix of keys. */
  readonly prefix?: string | undefined
  /** A status, or the first digits of one: 4 and 40 are 404. */
  readonly status?: string | undefined
  readonly minMs?: number | undefined
  /** Its id, or the id of one of its keys. */
  readonly account?: string | undefined
  readonly address?: string | undefined
  /** Answered with an error, or not at all. */
  readonly errorsOnly?: boolean | undefined
}

/** Asks for what has ended since the same trace asked last; the first time there is nothing yet. */
export interface TraceQuestion {
  /** The id of the trace is its asker's choice; no other trace has it. */
  readonly trace: string
  readonly filter: RequestFilter
}

export interface TracedRequests {
  readonly requests: readonly LiveRequest[]
  /** How many have ended that are not among them: too many waited for the question. */
  readonly dropped: number
}

/** The counts of a window. */
export interface TrafficCounts {
  readonly requests: number
  /** Answered with 4xx, or not at all because the client left. */
  readonly clientErrors: number
  /** Answered with 5xx. */
  readonly serverErrors: number
  readonly receivedBytes: number
  readonly sentBytes: number
  /** The counts of each bin of `TRAFFIC_BINS`; empty ones at the end are left out. */
  readonly bins: readonly number[]
}

export type NamedCounts = TrafficCounts & { readonly name: string }

/** Traffic of one node. */
export interface NodeTraffic {
  readonly atMs: number
  /** How much time the counts cover. */
  readonly seconds: number
  readonly total: TrafficCounts
  readonly buckets: readonly NamedCounts[]
  readonly accounts: readonly NamedCounts[]
  /** All requests of each minute of the last hour, the oldest first. */
  readonly history: readonly (TrafficCounts & { readonly sinceMs: number })[]
}

/** Members of a request that may be absent, in their order on the wire: append only. */
const TEXTS = ["bucket", "key", "code", "reason", "account", "accessKeyId", "userAgent"] as const
const TIMES = ["authMs", "metaMs", "dataMs"] as const
const FILTER_TEXTS = ["server", "operation", "bucket", "prefix", "status", "account", "address"] as const

const flag = (value: boolean): number => (value ? 1 : 0)
const textIn = (row: RecordReader): string | undefined => row.optional(() => row.text())
const numberIn = (row: RecordReader): number | undefined => row.optional(() => row.number())

/** Returns the members that are there, in the order of their names. */
const present = <Value>(names: readonly string[], read: () => Value | undefined): Readonly<Record<string, Value>> =>
  Object.fromEntries(
    names.flatMap(name => {
      const value = read()
      return value === undefined ? [] : [[name, value] as const]
    }),
  )

export const packTraceQuestion = ({ trace, filter }: TraceQuestion): readonly unknown[] => [
  ...[trace, FILTER_TEXTS.map(name => filter[name] ?? null), filter.minMs ?? null, flag(filter.errorsOnly === true)],
]

export function readTraceQuestion(row: RecordReader): TraceQuestion {
  const trace = row.text()
  const texts = row.row()
  const filter = present(FILTER_TEXTS, () => textIn(texts))
  return { trace, filter: { ...filter, minMs: numberIn(row), errorsOnly: row.number() !== 0 } }
}

const packRequest = (request: LiveRequest): readonly unknown[] => [
  ...[request.atMs, request.server, request.requestId, request.method, request.operation, request.path],
  ...[request.status, request.totalMs, request.receivedBytes, request.sentBytes, request.remoteAddress],
  ...[flag(request.clientGone === true), TEXTS.map(name => request[name] ?? null)],
  TIMES.map(name => request[name] ?? null),
]

function readRequest(row: RecordReader): LiveRequest {
  const request = {
    ...{ atMs: row.number(), server: row.text(), requestId: row.text(), method: row.text(), operation: row.text() },
    ...{ path: row.text(), status: row.number(), totalMs: row.number(), receivedBytes: row.number() },
    ...{ sentBytes: row.number(), remoteAddress: row.text() },
  }
  const isClientGone = row.number() !== 0
  const [texts, times] = [row.row(), row.row()]
  return {
    ...request,
    ...present(TEXTS, () => textIn(texts)),
    ...present(TIMES, () => numberIn(times)),
    ...(isClientGone && { clientGone: true }),
  }
}

export const packTracedRequests = ({ requests, dropped }: TracedRequests): readonly unknown[] => [
  ...[requests.map(packRequest), dropped],
]

export const readTracedRequests = (row: RecordReader): TracedRequests => ({
  ...{ requests: row.rows(readRequest), dropped: row.number() },
})

export const packTrafficWindow = (window: TrafficWindow): number => WINDOWS.indexOf(window)
export const readTrafficWindow = (row: RecordReader): TrafficWindow => pick(WINDOWS, row.number(), "window of traffic")

const packCounts = (counts: TrafficCounts): readonly unknown[] => [
  ...[counts.requests, counts.clientErrors, counts.serverErrors, counts.receivedBytes, counts.sentBytes],
  ...counts.bins,
]

/** The last members of their row. Throws `corruptRecord` if there are more bins than there may be. */
function readCounts(row: RecordReader): TrafficCounts {
  const counts = {
    ...{ requests: row.number(), clientErrors: row.number(), serverErrors: row.number() },
    ...{ receivedBytes: row.number(), sentBytes: row.number(), bins: row.all(bin => bin.number()) },
  }
  if (counts.bins.length > TRAFFIC_BINS.count) throw fail("corruptRecord", { what: "traffic", field: "bins" })
  return counts
}

const packNamed = ({ name, ...counts }: NamedCounts): readonly unknown[] => [name, ...packCounts(counts)]
const readNamed = (row: RecordReader): NamedCounts => ({ name: row.text(), ...readCounts(row) })

export const packTraffic = ({ atMs, seconds, total, ...traffic }: NodeTraffic): readonly unknown[] => [
  ...[atMs, seconds, packCounts(total), traffic.buckets.map(packNamed), traffic.accounts.map(packNamed)],
  traffic.history.map(({ sinceMs, ...counts }) => [sinceMs, ...packCounts(counts)]),
]

export const readTraffic = (row: RecordReader): NodeTraffic => ({
  ...{ atMs: row.number(), seconds: row.number(), total: readCounts(row.row()) },
  ...{ buckets: row.rows(readNamed), accounts: row.rows(readNamed) },
  history: row.rows(minute => ({ sinceMs: minute.number(), ...readCounts(minute) })),
})
