/** Schemas of live requests and traffic in the admin API's JSON. */
import { z } from "zod"
import { TRAFFIC_WINDOWS } from "@hayloft/engine/format/nodes/live-report.js"
import { UNSHOWN } from "./store-schemas.js"

const timestamp = z.number().int().describe("milliseconds since 1970")
const count = z.number().int()
const durationMs = z.number().describe("milliseconds")
const node = z.string().optional().describe("the node that served it; absent on one machine")

export const LIVE_REQUEST = z
  .object({
    type: z.literal("request"),
    atMs: timestamp,
    node,
    server: z.string().describe("the port: s3, admin, websites, swift"),
    requestId: z.string(),
    method: z.string(),
    operation: z.string().describe("`none` if it was not determined"),
    path: z.string().describe("without its query"),
    bucket: z.string().optional(),
    key: z.string().optional(),
    status: z.number().int().describe("0: it got no response"),
    code: z.string().optional().describe("of the error, as the client received it"),
    reason: z.string().optional(),
    totalMs: durationMs,
    authMs: durationMs.optional().describe("of these: signature and permissions"),
    metaMs: durationMs.optional().describe("metadata, and what is neither of the others"),
    dataMs: durationMs.optional().describe("waiting for the bytes of the body"),
    receivedBytes: count,
    sentBytes: count,
    account: z.string().optional().describe("whose signature was verified"),
    accessKeyId: z.string().optional(),
    remoteAddress: z.string(),
    userAgent: z.string().optional(),
    clientGone: z.literal(true).optional().describe("the client left before the response had been sent"),
  })
  .meta({ id: "LiveRequest" })

/** A line of a trace that is no request. */
const TRACED_NODE = z
  .object({
    type: z.literal("node"),
    node: z.string(),
    isShown: z.boolean().describe("false: its requests are missing from here on, until it is shown again"),
    reason: z.string().optional().describe("why it is not shown"),
  })
  .meta({ id: "TracedNode" })

export const TRACE_LINE = z.union([LIVE_REQUEST, TRACED_NODE])

const FIGURES = {
  requests: count,
  clientErrors: count.describe("answered with 4xx, or not at all because the client left"),
  serverErrors: count.describe("answered with 5xx"),
  receivedBytes: count,
  sentBytes: count,
  p50Ms: durationMs.optional(),
  p90Ms: durationMs.optional(),
  p99Ms: durationMs.optional(),
}

const NAMED_FIGURES = z
  .object({
    name: z.string().describe("`(other)`: all beyond the limit; `(anonymous)`: without a signature"),
    ...FIGURES,
  })
  .meta({ id: "NamedTraffic" })

export const TRAFFIC = z
  .object({
    atMs: timestamp,
    window: z.enum(TRAFFIC_WINDOWS),
    seconds: z.number().describe("how much time the figures cover"),
    total: z.object(FIGURES),
    buckets: z.array(NAMED_FIGURES).describe("those with requests, the busiest first"),
    accounts: z.array(NAMED_FIGURES),
    operations: z.array(NAMED_FIGURES).describe("GetObject, PutObject …, the busiest first"),
    codes: z.array(NAMED_FIGURES).describe("those that were answered with an error, by its code: NoSuchKey …"),
    nodes: z.array(NAMED_FIGURES).optional().describe("of each node that is counted here; absent on one machine"),
    unshown: UNSHOWN.optional().describe("nodes whose requests are missing, and why; absent on one machine"),
    history: z
      .array(z.object({ sinceMs: timestamp, ...FIGURES }))
      .describe(
        "all requests of each step, the oldest first: a minute of the last hour, 15 minutes of the last day, 2 hours of the last week",
      ),
  })
  .meta({ id: "Traffic" })
