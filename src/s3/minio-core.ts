/**
 * Requests of MinIO's own API, which `mc` sends beside those of S3: what to tell people who send them. Pure.
 *
 * Promises  A bucket may be called `minio`, and hold such keys: its requests are answered as those of any other bucket.
 */
import { fail } from "../base/failures.js"
import type { Failure, FailureKind } from "../base/failures.js"
import type { Query } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"

const EVENTS =
  "Listening for events (mc watch) is not implemented. List the bucket again instead, for instance with mc diff or mc find."
const HEALTH =
  "MinIO's health check (mc ready) is not answered here. Ask /health/ready of the admin address, or run `hayloft status`."
const ADMIN =
  "MinIO's admin API (mc admin) is not implemented. Use the `hayloft` command line for the store and its keys, and `aws iam` for users, groups and policies."

const RESERVED_BUCKET = "minio"
/** Failures of requests that no bucket and no operation was found for, or not for this caller. */
const UNANSWERED: ReadonlySet<FailureKind> = new Set([
  ...(["noSuchBucket", "notImplemented", "methodNotAllowed", "accessDenied", "invalidArgument"] as const),
])

/** `GET /bucket?events=s3:…`: unknown parameters are ignored otherwise, and this would be answered as a listing. */
export function checkListensToNothing(method: string, { rawKey }: S3Target, query: Query): void {
  const listens = method === "GET" && rawKey === undefined && query.get("events")?.startsWith("s3:") === true
  if (listens) throw fail("notImplemented", { message: EVENTS })
}

/** The failure that says what to do instead, where the request is one of MinIO's admin API; else the failure itself. */
export function sayInstead(failure: Failure, target: S3Target | undefined): Failure {
  if (target?.bucket !== RESERVED_BUCKET || target.rawKey === undefined || !UNANSWERED.has(failure.kind)) return failure
  if (/^health\/(?:live|ready|cluster)/.test(target.rawKey)) return fail("notImplemented", { message: HEALTH })
  if (/^(?:admin|kms)\/v\d/.test(target.rawKey)) return fail("notImplemented", { message: ADMIN })
  return failure
}
