/**
 * K2V over HTTP: the key-value API of Garage, on a port of its own.
 *
 * Promises  The order of checks: the operation and its parameters, the signature, the bucket, the caller's policies; only
 *           then a body is read, and compared with the hash that was signed. Nothing is anonymous. Keys and values are not
 *           logged.
 * Refuses   Bodies with signatures of their own (`aws-chunked`); callers of other accounts than the bucket's.
 * Limits    Bodies: `DOCUMENT_LIMITS`, `ITEM_LIMITS`. What waits: `Polls`.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { decide, DeniedAccess, sha256Hex, type NamedPolicy, type VerifiedRequest } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseItemKey, parseBucketName, textOfObjectKey, type ItemKey } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol } from "../http/index.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import { isBucketUnchanged } from "@hayloft/objects/index.js"
import type { Items } from "@hayloft/features/items/index.js"
import {
  accessRequestOf,
  SignedFrame,
  type AdmittedRequest,
  type FrameSettings,
  type FailedRequest,
  type SignedProtocol,
} from "../signed/index.js"
import { k2vErrorOf, type K2vError } from "./failures.js"
import { OPERATIONS, type K2vCall } from "./operations.js"
import { k2vRouteOf, type K2vRoute } from "./route.js"

const SERVICE = "k2v"

interface K2vSettings extends FrameSettings {
  readonly items: Items
  readonly buckets: Pick<Buckets, "open" | "openConfirmed">
  /** Returns undefined if the bucket has none. */
  readonly denialsOfBucket: (bucket: Bucket) => Soon<NamedPolicy | undefined>
  /** The region is undefined if any region is accepted. */
  readonly region: string | undefined
}

type Request = AdmittedRequest<K2vRoute, never>

export const createK2vHandler = (settings: K2vSettings): Protocol => new SignedFrame(settings, new K2v(settings))

class K2v implements SignedProtocol<K2vRoute, K2vError> {
  readonly routesStrangers = true
  readonly region: string | undefined

  constructor(private readonly settings: K2vSettings) {
    this.region = settings.region
  }

  serviceOf(): string {
    return SERVICE
  }

  route({ method, rawTarget }: Exchange): K2vRoute {
    return k2vRouteOf(method, rawTarget)
  }

  guestOf(): never {
    throw fail("accessDenied", { message: "K2V needs a signature.", unsigned: true })
  }

  async perform(request: Request): Promise<PlainAnswer> {
    const { exchange, route, until, sender } = request
    const { buckets } = this.settings
    const bucket = await buckets.openConfirmed(parseBucketName(route.bucket))
    if (bucket.owner !== sender.key.account.id) throw fail("accessDenied", { closedBucket: bucket.name })
    const denials = await this.settings.denialsOfBucket(bucket)
    const call: K2vCall = {
      items: this.settings.items,
      until: (watcher, seconds, look) => until(watcher, seconds, look, () => isBucketUnchanged(buckets, bucket)),
      bucket,
      parameters: route.parameters,
      partition: route.partition ?? NO_PARTITION,
      header: name => exchange.header(name),
      require: partition => {
        require(request, { bucket, denials }, partition)
        request.letInTo(bucket)
      },
      body: bytesMax => readVerified(exchange, sender.verified, bytesMax),
    }
    const answer = await OPERATIONS[route.operation](call)
    return { ...answer, headers: [...answer.headers, ...idHeader(exchange.requestId)] }
  }

  errorOf(failure: Failure): K2vError {
    return k2vErrorOf(failure)
  }

  errorAnswer({ code, status, message }: K2vError, { rawTarget, requestId }: FailedRequest<K2vRoute>): PlainAnswer {
    const path = rawTarget.replace(/\?.*/s, "")
    const body = JSON.stringify({ code, message, region: this.region ?? REGION_DEFAULT, path })
    const headers = ["Content-Type", "application/json", ...idHeader(requestId)]
    return { status, headers, body: Buffer.from(body) }
  }
}

/** Throws `accessDenied`. */
function require(
  request: Request,
  { bucket, denials }: { readonly bucket: Bucket; readonly denials: NamedPolicy | undefined },
  partition: ItemKey | undefined,
): void {
  const { key, verified } = request.sender
  const arn = `arn:aws:s3:::${bucket.name}`
  const asked = accessRequestOf(request, key, verified.region, {
    action: `${SERVICE}:${request.route.operation}`,
    resource: partition === undefined ? arn : `${arn}/${textOfObjectKey(partition)}`,
  })
  // The policy of a bucket is about S3: it grants no access to K2V. A Deny that covers actions of K2V holds here, too: one of
  // all actions, or of all but some (`NotAction`).
  const decision = decide(asked, key.policies, { policy: denials, acl: undefined })
  if (decision.outcome !== "allow") throw new DeniedAccess(asked, decision)
}

const NO_PARTITION = parseItemKey("")

const idHeader = (requestId: string): readonly string[] => ["x-amz-request-id", requestId]

/** Throws `contentSha256Mismatch`, `notImplemented`, `entityTooLarge`. */
async function readVerified(exchange: Exchange, { payload }: VerifiedRequest, bytesMax: number): Promise<Uint8Array> {
  if (payload.kind === "chunked")
    throw fail("notImplemented", { message: "Bodies in signed chunks (aws-chunked) are not supported for K2V." })
  const body = await readBody(exchange, bytesMax)
  if (payload.kind === "hashed" && sha256Hex(body) !== payload.sha256Hex) throw fail("contentSha256Mismatch")
  return body
}
