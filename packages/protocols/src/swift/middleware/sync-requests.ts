/**
 * Requests of other clusters, which act as who has set the key: the owners of two containers, which have the same key, let each cluster repeat in its own what was
 * done in the other, for as long as their operators keep them in a realm. They read and copy nothing of other containers.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { parseTimestamp, type Timestamp } from "@hayloft/base/text/timestamp.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { Exchange } from "../../http/index.js"
import type { S3Answer } from "../../s3/index.js"
import { emptyAnswer } from "../answers.js"
import type { SwiftCallers } from "../callers.js"
import { containerAt, signedScope, type SwiftObjectRequest, type SwiftCaller, type SwiftContext } from "../requests.js"
import { isOfRealm } from "./sync-core.js"
import type { SwiftTarget } from "../target-core.js"

/** The actions that a request of another cluster may perform. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  HEAD: ["GetObject"],
  GET: ["GetObject"],
  PUT: ["PutObject", "GetObject"],
  DELETE: ["DeleteObject"],
}

interface SyncedRequest {
  readonly exchange: Exchange
  readonly target: SwiftTarget
  /** Decoded. */
  readonly path: string
}

/** Lets the request of another cluster in. Throws `signatureMismatch`, `invalidRequest`. */
export function admitSync(
  context: SwiftContext,
  callers: SwiftCallers,
  { exchange, target, path }: SyncedRequest,
  auth: string,
): Soon<SwiftCaller & { readonly repeats: Timestamp | undefined }> {
  const refused = () =>
    fail("signatureMismatch", {
      message: "X-Container-Sync-Auth header not valid; contact cluster operator for support.",
    })
  const { account, container, object } = target
  const actions = ACTIONS[exchange.method]
  if (container === undefined || object === undefined || actions === undefined) throw refused()
  const known = recover(
    () => after(context.services.buckets.confirm(), () => containerAt(context, account, container)),
    error => {
      throw isFailure(error, "noSuchBucket") ? refused() : error
    },
  )
  return after(known, bucket =>
    after(context.syncs.of(bucket), sync => {
      const timestamp = exchange.header("x-timestamp") ?? "0"
      const signed = { method: exchange.method, path: percentEncode(path, true), timestamp }
      if (sync === undefined || !isOfRealm(auth, signed, context.realms, sync.key)) throw refused()
      if (exchange.header("x-copy-from") !== undefined)
        throw fail("invalidRequest", { message: "X-Copy-From is not allowed with X-Container-Sync-Auth" })
      const repeats = parseTimestamp(timestamp)
      const changes = exchange.method === "PUT" || exchange.method === "DELETE"
      if (changes && (repeats === undefined || repeats === 0))
        throw fail("invalidRequest", { message: "X-Timestamp should be a UNIX timestamp float value" })
      // A manifest is checked, and a link may be looked at, but nothing is read through them.
      const readable = exchange.method === "GET" ? undefined : bucket.owner
      const scope = signedScope(container, actions, readable)
      return after(callers.ofSetter(sync.setter, scope, exchange, target), known => ({
        ...known,
        repeats: changes ? repeats : undefined,
      }))
    }),
  )
}

/** Returns true if a write was refused because the stored object is newer. */
const isOlder = (error: unknown): boolean =>
  isFailure(error, "preconditionFailed") && error.details["condition"] === "X-Timestamp"

/** The answer to a write that repeats an older one, as Swift gives it: another cluster goes on. */
export const unlessOlder = (request: SwiftObjectRequest, write: () => Soon<S3Answer>): Soon<S3Answer> =>
  recover(write, error => {
    if (!isOlder(error)) throw error
    return emptyAnswer(request.exchange.method === "DELETE" ? 409 : 202)
  })
