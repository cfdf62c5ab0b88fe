/**
 * K2V over HTTP: the key-value API of Garage, on a port of its own.
 *
 * Promises  The order of checks: the operation and its parameters, the signature, the bucket, the caller's policies; only
 *           then a body is read, and compared with the hash that was signed. Nothing is anonymous. Keys and values are not
 *           logged.
 * Refuses   Bodies with signatures of their own (`aws-chunked`); callers of other accounts than the bucket's.
 * Limits    Bodies: `DOCUMENT_LIMITS`, `ITEM_LIMITS`. What waits: `Polls`.
 */
import { REGION_DEFAULT } from "../base/region.js"
import {
  decide,
  DeniedAccess,
  denialsOf,
  sha256Hex,
  SignedCallers,
  sourceContext,
  type Denials,
  type Keyring,
  type KnownKey,
  type NamedPolicy,
  type ProvesSecrets,
  type RateLimiter,
  type SignedCaller,
  type VerifiedRequest,
} from "../access/index.js"
import { asFailure, fail } from "../base/failures.js"
import { parseItemKey, parseBucketName, textOfObjectKey, type ItemKey } from "../base/ids.js"
import type { Soon } from "../base/soon.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import { Polls } from "../life/index.js"
import type { Bucket, Buckets } from "../object/contract.js"
import type { Items } from "../object/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { k2vErrorOf, type K2vError } from "./failures.js"
import { OPERATIONS, type Call } from "./operations.js"
import { routeOf, type Route } from "./route.js"

const SERVICE = "k2v"

interface K2vSettings {
  readonly items: Items
  readonly buckets: Pick<Buckets, "openConfirmed">
  /** Returns undefined if the bucket has none. */
  readonly policyOfBucket: (bucket: Bucket) => Soon<NamedPolicy | undefined>
  readonly accounts: Keyring
  readonly clock: Clock
  /** The region is undefined if any region is accepted. */
  readonly region: string | undefined
  /** Records denied requests, so that the operator can have them explained. */
  readonly denials: Denials
  /** Applies the limits of accounts and keys. */
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits attempts with a wrong secret. */
  readonly attempts: ProvesSecrets
}

/** A request as far as it is known. */
interface Request {
  readonly exchange: Exchange
  readonly nowMs: number
  route?: Route
  key?: KnownKey
}

export const createK2vHandler = (settings: K2vSettings): Protocol => new K2vHandler(settings)

class K2vHandler implements Protocol {
  private readonly callers: SignedCallers
  private readonly polls: Polls

  constructor(private readonly settings: K2vSettings) {
    this.callers = new SignedCallers(settings)
    this.polls = new Polls(settings.clock)
  }

  async handle(exchange: Exchange): Promise<void> {
    const request: Request = { exchange, nowMs: this.settings.clock.wallMs() }
    try {
      const answer = await this.answer(request)
      await exchange.respond({ ...answer, headers: [...answer.headers, ...idHeader(exchange.requestId)] })
    } catch (error) {
      const failure = asFailure(error)
      if (exchange.answered || failure.kind === "internal") throw error
      const answer = k2vErrorOf(failure)
      const { nowMs, route, key } = request
      const refused = { service: SERVICE, operation: route?.operation ?? "", nowMs, key, answer }
      this.callers.noteRefusal(exchange, refused, failure)
      await exchange.respond(this.errorAnswer(answer, exchange.rawTarget, exchange.requestId))
    }
  }

  refuse({ requestId, failure, status, target }: Refusal): PlainAnswer {
    const error = k2vErrorOf(failure)
    return this.errorAnswer(status === undefined ? error : { ...error, status }, target, requestId)
  }

  /** Polls are answered that nothing has changed. */
  stop(): void {
    this.polls.stop()
  }

  private async answer(request: Request): Promise<PlainAnswer> {
    const { exchange } = request
    const route = (request.route = routeOf(exchange.method, exchange.rawTarget))
    exchange.note({ operation: `${SERVICE}:${route.operation}` })
    const admitted = await exchange.timing.measure("auth", () => this.admit(request))
    const bucket = await this.settings.buckets.openConfirmed(parseBucketName(route.bucket))
    const { account } = admitted.key
    exchange.about({ accountId: account.id, bucketName: bucket.name })
    if (bucket.owner !== account.id) throw fail("accessDenied", { closedBucket: bucket.name })
    const policy = await this.settings.policyOfBucket(bucket)
    const call: Call = {
      ...{ items: this.settings.items, polls: this.polls, bucket, parameters: route.parameters },
      partition: route.partition ?? NO_PARTITION,
      header: name => exchange.header(name),
      require: partition => this.require(request, admitted, { bucket, policy }, partition),
      body: bytesMax => readVerified(exchange, admitted.verified, bytesMax),
      exchange,
    }
    return OPERATIONS[route.operation](call)
  }

  /** Throws as `SignedCallers`; `accessDenied` without a signature. */
  private async admit(request: Request): Promise<SignedCaller> {
    const { exchange, nowMs } = request
    const rules = { service: SERVICE, region: this.settings.region }
    const caller = await this.callers.admit(exchange, rules, nowMs, key => (request.key = key))
    if (caller === undefined) throw fail("accessDenied", { message: "K2V needs a signature.", unsigned: true })
    return caller
  }

  /** Throws `accessDenied`. */
  private require(
    { exchange, nowMs, route }: Request,
    { key, verified }: SignedCaller,
    { bucket, policy }: { readonly bucket: Bucket; readonly policy: NamedPolicy | undefined },
    partition: ItemKey | undefined,
  ): void {
    const { id: accountId, number: accountNumber } = key.account
    const arn = `arn:aws:s3:::${bucket.name}`
    const request = {
      ...{ principal: key.principal, action: `${SERVICE}:${route?.operation ?? ""}`, nowMs },
      resource: partition === undefined ? arn : `${arn}/${textOfObjectKey(partition)}`,
      owner: { accountId, accountNumber },
      context: sourceContext(exchange, verified.region),
    }
    // The policy of a bucket speaks of S3: it admits nobody to K2V, but what it denies to everything holds.
    const denials = policy && { ...policy, policy: denialsOf(policy.policy) }
    const decision = decide(request, key.policies, { policy: denials, acl: undefined })
    if (decision.outcome !== "allow") throw new DeniedAccess(request, decision)
  }

  private errorAnswer({ code, status, message }: K2vError, target: string, requestId: string): PlainAnswer {
    const path = target.replace(/\?.*/s, "")
    const body = JSON.stringify({ code, message, region: this.settings.region ?? REGION_DEFAULT, path })
    const headers = ["Content-Type", "application/json", ...idHeader(requestId)]
    return { status, headers, body: Buffer.from(body) }
  }
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
