/**
 * Requests of MinIO's own API, which `mc` sends along with S3 requests: an explanation for their senders. Pure.
 *
 * Promises  A bucket may be named `minio` and have such keys: its requests are answered like those of any other bucket.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure, FailureKind } from "@hayloft/base/failures.js"
import type { RequestQuery } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"

const EVENTS =
  "Listening for events (mc watch) is not implemented. List the bucket again instead, for instance with mc diff or mc find."
const HEALTH =
  "MinIO's health check (mc ready) is not implemented here. Use /health/ready of the admin address, or run `hayloft status`."
const ADMIN =
  "MinIO's admin API (mc admin) is not implemented. Use the `hayloft` command line for the store and its keys, and `aws iam` for users, groups and policies."

const RESERVED_BUCKET = "minio"
/** Failures of requests without a matching bucket or operation, or without access for this caller. */
const UNANSWERED: ReadonlySet<FailureKind> = new Set([
  "noSuchBucket",
  "notImplemented",
  "methodNotAllowed",
  "accessDenied",
  "invalidArgument",
])

/** `GET /bucket?events=s3:…`: unknown parameters are ignored, so this would otherwise be answered as a listing. */
export function refuseEventListening(method: string, { rawKey }: S3Target, query: RequestQuery): void {
  const listens = method === "GET" && rawKey === undefined && query.get("events")?.startsWith("s3:") === true
  if (listens) throw fail("notImplemented", { message: EVENTS })
}

/** A failure that explains the alternative, for a request of MinIO's admin API; otherwise the same failure. */
export function explainAlternative(failure: Failure, target: S3Target | undefined): Failure {
  if (target?.bucket !== RESERVED_BUCKET || target.rawKey === undefined || !UNANSWERED.has(failure.kind)) return failure
  if (/^health\/(?:live|ready|cluster)/.test(target.rawKey)) return fail("notImplemented", { message: HEALTH })
  if (/^(?:admin|kms)\/v\d/.test(target.rawKey)) return fail("notImplemented", { message: ADMIN })
  return failure
}
