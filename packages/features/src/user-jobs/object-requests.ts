/** Requests of S3 that the store itself makes for the starter of a job: with the same checks as that of a client. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Bucket, ObjectAt } from "@hayloft/objects/contract.js"
import type { JobStarter } from "@hayloft/engine/format/job-record.js"

export interface ObjectRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE"
  readonly bucket: string
  /** The key is undefined for the bucket itself. */
  readonly key?: ObjectKey
  readonly query?: readonly (readonly [name: string, value: string])[]
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: Uint8Array
  /** A condition of a write. If it fails, the reply's code is `PreconditionFailed`. */
  readonly ifUnchanged?: ObjectAt
}

export interface ObjectReply {
  readonly status: number
  /** S3's code and message of a refusal; "" for a success. */
  readonly code: string
  readonly message: string
  /** The reason why the request was refused; undefined if it was not. */
  readonly failure: Failure | undefined
  /** The answer's body, if it is a small document. */
  readonly document: string
  /** Returns the value of the first header with the name. */
  readonly header: (name: string) => string | undefined
}

/** Sends requests as one caller. */
export interface Requester {
  send(request: ObjectRequest, signal?: AbortSignal): Promise<ObjectReply>
}

export interface ObjectRequests {
  /**
   * The starter of a job as it is now. The operator, and tokens of the admin API, act as the root user of the bucket's
   * owner. Throws `accessDenied` if the starter is not allowed anything any more.
   */
  as(starter: JobStarter, bucket: Pick<Bucket, "owner">): Promise<Requester>
}

/**
 * Throws `accessDenied` if the starter of a job may not list the objects, or versions, that it is about, and
 * `invalidArgument` if the bucket does not have them.
 */
export async function requireListing(
  requester: Requester,
  bucket: Pick<Bucket, "name">,
  isOfVersions: boolean,
  prefix: string,
): Promise<void> {
  const listing = isOfVersions ? (["versions", ""] as const) : (["list-type", "2"] as const)
  const query = [listing, ["prefix", prefix], ["max-keys", "0"]] as const
  const { status, code, message } = await requester.send({ method: "GET", bucket: bucket.name, query })
  if (code === "NotImplemented") throw fail("invalidArgument", { message })
  if (status >= 500) throw fail("tooManyInFlight", { message: `${code}: ${message}` })
  if (status >= 300) throw fail("accessDenied", { message: `the objects cannot be listed: ${code}: ${message}` })
}
