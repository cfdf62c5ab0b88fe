/**
 * Requests of MinIO's own API, which `mc` sends along with S3 requests: an explanation for their senders. Pure.
 *
 * Promises  A bucket may be named `minio` and have such keys: its requests are answered like those of any other bucket.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { Failure, FailureKind } from "@hayloft/base/failures.js"
import type { RequestQuery } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"

const EVENTS =
  "Listening for events (mc watch) is not implemented. List the bucket again instead, for instance with mc diff or mc find."
const FORCE_DELETE =
  "Deleting all below a prefix by one request (x-minio-force-delete) is not implemented, and nothing was deleted. Delete the objects, for instance by mc rm --recursive --force --versions, or start a job: `hayloft jobs start delete-versions BUCKET --prefix PREFIX`."
const HEALTH =
  "This path of MinIO's health checks is not implemented. /minio/health/live, /ready, /cluster and /cluster/read are, without a query; `hayloft status` tells more."
const ADMIN =
  "MinIO's admin API (mc admin) needs a signature in the header of each request; clients sign with the key of an alias."
const KMS =
  "MinIO's API of a KMS (mc admin kms) is not implemented. Use `hayloft kms`, or `aws kms` with the admin address."
const METRICS =
  "Metrics for scrapers of MinIO are at /minio/v2/metrics/cluster, /node and /bucket, with a bearer token that mc admin prometheus generate makes with the root key; all metrics of the store are at /metrics of the admin address."

const METRICS_PATH = /^(?:v2\/metrics\/\w+|metrics\/v3(?:\/.*)?|prometheus\/metrics)$/
const RESERVED_BUCKET = "minio"
/** Failures of requests without a matching bucket or operation, or without access for this caller. */
const UNANSWERED: ReadonlySet<FailureKind> = new Set([
  "noSuchBucket",
  "notImplemented",
  "methodNotAllowed",
  "accessDenied",
  "invalidArgument",
])

/**
 * Unknown parameters and headers are ignored, so these requests would otherwise be answered as others: `GET
 * /bucket?events=s3:…` as a listing, and the deletion of all below a prefix as that of one object, which succeeds.
 */
export function refuseExtensions(
  method: string,
  { rawKey }: S3Target,
  query: RequestQuery,
  headers: RequestHeaders,
): void {
  const listens = method === "GET" && rawKey === undefined && query.get("events")?.startsWith("s3:") === true
  if (listens) throw fail("notImplemented", { message: EVENTS })
  const deletesPrefix =
    method === "DELETE" && rawKey !== undefined && /^(?:1|t|true)$/i.test(headers.get("x-minio-force-delete") ?? "")
  if (deletesPrefix) throw fail("notImplemented", { message: FORCE_DELETE })
}

/** A failure that explains the alternative, for a request of MinIO's own APIs; otherwise the same failure. */
export function explainAlternative(failure: Failure, target: S3Target | undefined): Failure {
  if (target?.bucket !== RESERVED_BUCKET || target.rawKey === undefined || !UNANSWERED.has(failure.kind)) return failure
  if (/^health\/(?:live|ready|cluster)/.test(target.rawKey)) return fail("notImplemented", { message: HEALTH })
  if (/^admin\/v\d/.test(target.rawKey)) return fail("notImplemented", { message: ADMIN })
  if (/^kms\/v\d/.test(target.rawKey)) return fail("notImplemented", { message: KMS })
  if (METRICS_PATH.test(target.rawKey)) return fail("accessDenied", { message: METRICS })
  return failure
}
