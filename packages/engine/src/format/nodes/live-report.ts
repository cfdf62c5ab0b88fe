/**
 * The reports of nodes to each other about the requests that they serve: those that have just ended, and traffic as
 * counts. Parts of node operations (`node-operation.ts`): positional arrays; null stands for none.
 *
 * Counts are requests, errors of clients, errors of the server, bytes received, bytes sent, and then the requests by
 * duration: of each bin, the first of which ends at 0.25 ms and each other at 1.5 times the end of the one before; the
 * last has no end. Bins at the end that count nothing are left out.
 */
import {
  absent,
  appended,
  FLAG,
  flat,
  group,
  mapped,
  MARK,
  NUMBER,
  oneOf,
  optional,
  rest,
  row,
  rowsOf,
  TEXT,
} from "../encoding/fields.js"
import type { RowOf, ValueOf } from "../encoding/fields.js"

export const TRAFFIC_BINS = { count: 34, firstEndMs: 0.25, factor: 1.5 } as const

/** Numbers are on the wire: append only. */
export const TRAFFIC_WINDOWS = ["minute", "hour", "day", "week"] as const
export type TrafficWindow = (typeof TRAFFIC_WINDOWS)[number]
export const TRAFFIC_WINDOW = oneOf(TRAFFIC_WINDOWS)

/** Requests that have ended. */
const REQUESTS = rowsOf({
  /** When it ended. */
  atMs: NUMBER,
  /** The port: s3, admin, websites. */
  server: TEXT,
  requestId: TEXT,
  method: TEXT,
  /** "none" if it was not determined. */
  operation: TEXT,
  /** Without its query. */
  path: TEXT,
  /** 0: it got no response. */
  status: NUMBER,
  totalMs: NUMBER,
  receivedBytes: NUMBER,
  sentBytes: NUMBER,
  remoteAddress: TEXT,
  /** The client left before the response had been sent. */
  clientGone: MARK,
  texts: flat(
    row({
      bucket: absent(TEXT),
      key: absent(TEXT),
      code: absent(TEXT),
      reason: absent(TEXT),
      account: absent(TEXT),
      accessKeyId: absent(TEXT),
      userAgent: absent(TEXT),
    }),
  ),
  times: flat(row({ authMs: absent(NUMBER), metaMs: absent(NUMBER), dataMs: absent(NUMBER) })),
})
export type LiveRequest = ValueOf<typeof REQUESTS>[number]

/** It is false where it is undefined. */
const ERRORS_ONLY = mapped(
  FLAG,
  (flag): boolean | undefined => flag,
  flag => flag === true,
)

/** Members that are undefined let everything through. */
const FILTER = group({
  texts: flat(
    row({
      server: absent(optional(TEXT)),
      /** Without regard to case. */
      operation: absent(optional(TEXT)),
      bucket: absent(optional(TEXT)),
      /** The prefix of keys. */
      prefix: absent(optional(TEXT)),
      /** A status, or the first digits of one: 4 and 40 are 404. */
      status: absent(optional(TEXT)),
      /** Its id, or the id of one of its keys. */
      account: absent(optional(TEXT)),
      address: absent(optional(TEXT)),
    }),
  ),
  minMs: absent(optional(NUMBER)),
  /** Answered with an error, or not at all. */
  errorsOnly: { ...ERRORS_ONLY, present: ERRORS_ONLY },
})
export type RequestFilter = ValueOf<typeof FILTER>

/** Asks for what has ended since the same trace asked last; the first time there is nothing yet. */
export const TRACE_QUESTION = {
  /** The id of the trace is its asker's choice; no other trace has it. */
  trace: TEXT,
  filter: FILTER,
}
export type TraceQuestion = RowOf<typeof TRACE_QUESTION>

export const TRACED_REQUESTS = {
  requests: REQUESTS,
  /** How many have ended that are not among them: too many waited for the question. */
  dropped: NUMBER,
}
export type TracedRequests = RowOf<typeof TRACED_REQUESTS>

/** The counts of a window. */
const COUNTS = {
  requests: NUMBER,
  /** Answered with 4xx, or not at all because the client left. */
  clientErrors: NUMBER,
  /** Answered with 5xx. */
  serverErrors: NUMBER,
  receivedBytes: NUMBER,
  sentBytes: NUMBER,
  /** The counts of each bin of `TRAFFIC_BINS`; empty ones at the end are left out. */
  bins: rest(NUMBER, TRAFFIC_BINS.count),
}
export type TrafficCounts = RowOf<typeof COUNTS>

const NAMED_COUNTS = rowsOf({ name: TEXT, ...COUNTS })
export type NamedCounts = ValueOf<typeof NAMED_COUNTS>[number]

/** Traffic of one node. */
export const TRAFFIC = {
  atMs: NUMBER,
  /** How much time the counts cover. */
  seconds: NUMBER,
  total: row(COUNTS),
  buckets: NAMED_COUNTS,
  accounts: NAMED_COUNTS,
  /** All requests of each step of the window, the oldest first: of a minute and of an hour, each minute of the last hour. */
  history: rowsOf({ sinceMs: NUMBER, ...COUNTS }),
  /** By operation, and those that were answered with an error by its code. */
  operations: appended(NAMED_COUNTS),
  codes: appended(NAMED_COUNTS),
}
export type NodeTraffic = RowOf<typeof TRAFFIC>
