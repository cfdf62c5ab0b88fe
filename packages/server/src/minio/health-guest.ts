/**
 * Health on the S3 port, for probes that reach no other port: unsigned requests to six exact paths, two of this server and
 * four by which load balancers know MinIO.
 *
 * Promises  An object is never hidden from a client with credentials: only GET and HEAD without a signature and without a
 *           query are recognized, and only where the host is not that of a bucket. So `live` in a bucket named `health` is
 *           hidden from anonymous clients with path-style addresses alone (docs/decisions/0064).
 */
import { healthReply, type AdminReply } from "@hayloft/admin/replies.js"
import type { Exchange, Protocol } from "@hayloft/protocols/http/index.js"
import type { StoreStatus } from "@hayloft/node/index.js"
import { bucketOfHost } from "@hayloft/protocols/s3/wire/target.js"
import type { Guest } from "../ports/port-router.js"

type Health = Pick<StoreStatus, "health" | "liveness">
type Asked = Pick<Exchange, "method" | "rawTarget" | "header">

const live = (status: Health): AdminReply => healthReply("getLive", status.liveness())
/** A request on the port shows that it is open. */
const healthOf = (status: Health) => status.health(true)
const ready = (status: Health): AdminReply => healthReply("getReady", healthOf(status))
/** Replies whether new objects are accepted as well. */
function writable(status: Health): AdminReply {
  const health = healthOf(status)
  const reply = healthReply("getWritable", health)
  return health.refusesWrites === true ? { ...reply, status: 503 } : reply
}

const REPLIES: ReadonlyMap<string, (status: Health) => AdminReply> = new Map([
  ["/health/live", live],
  ["/health/ready", ready],
  ["/minio/health/live", live],
  ["/minio/health/ready", ready],
  ["/minio/health/cluster", writable],
  ["/minio/health/cluster/read", ready],
])

export function asksForHealth({ method, rawTarget, header }: Asked, domains: readonly string[]): boolean {
  return (
    (method === "GET" || method === "HEAD") &&
    REPLIES.has(rawTarget) &&
    header("authorization") === undefined &&
    bucketOfHost(header("host") ?? "", domains) === undefined
  )
}

/** `own`: the protocol of the port, which words the refusals. */
export function healthGuest(status: Health, domains: readonly string[], own: Protocol): Guest {
  return {
    speaks: exchange =>
      asksForHealth(
        { method: exchange.method, rawTarget: exchange.rawTarget, header: name => exchange.header(name) },
        domains,
      ),
    protocol: {
      handle: exchange => {
        const reply = (REPLIES.get(exchange.rawTarget) ?? live)(status)
        exchange.note({ operation: reply.operation })
        const headers = [...Object.entries(reply.headers).flat(), "x-request-id", exchange.requestId]
        return exchange.respond({ status: reply.status, headers, body: reply.body })
      },
      refuse: refusal => own.refuse(refusal),
    },
  }
}
