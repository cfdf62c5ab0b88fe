/**
 * Translated calls: requests of another protocol, run as operations of S3 on the same buckets and objects.
 *
 * Promises  They are authorised, charged, counted and recorded as requests of S3 are: by the same policies, the same public
 *           access block, the same audit log. Only the caller and the answer are the other protocol's.
 */
import type { Failure } from "@hayloft/base/failures.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Exchange } from "../http/index.js"
import { Refusals } from "../signed/index.js"
import type { WireBody } from "./body.js"
import { S3Call, type S3Answer, type CallContext } from "./call.js"
import type { S3Caller } from "./caller.js"
import { deniedRequest } from "./denied-request.js"
import type { S3Operation } from "./operations.js"
import { S3Parts, type S3Settings } from "./parts.js"
import { RequestPlans } from "./plan.js"
import { S3Request } from "./request.js"
import { RequestQuery } from "./wire/query.js"
import type { S3Target } from "./wire/target.js"

/** The request in the terms of S3. */
export interface Translation {
  readonly operation: S3Operation
  /** It is undefined if the request names no bucket in particular. */
  readonly bucket?: string | undefined
  /** The key's bytes as a byte string. */
  readonly rawKey?: string | undefined
  /** Headers of S3, in lower case: name, value, name, value … */
  readonly headers: readonly string[]
  /** The body of the object, if it is only a part of the request's. */
  readonly body?: WireBody
  /** Parameters of S3. */
  readonly query?: readonly (readonly [name: string, value: string])[]
}

/** How a failed request is answered. */
interface RefusingAnswer {
  readonly service: string
  readonly status: number
  readonly title: string
}

export class TranslatedCalls {
  readonly context: CallContext
  private readonly parts: S3Parts
  private readonly plans = new RequestPlans()
  private readonly shapes = new HeaderShapes()
  private readonly refusals: Refusals

  constructor(private readonly settings: S3Settings) {
    this.parts = new S3Parts(settings)
    this.refusals = new Refusals(settings.denials, this.parts.meters)
    this.context = this.parts.context
  }

  /** A request that has just arrived. */
  begin(exchange: Exchange): S3Request {
    const request = new S3Request(exchange, this.settings.clock.wallMs())
    request.isWithinTurn = false
    return request
  }

  /** The caller is known from now on: limits of its rates apply. Throws `rateExceeded`. */
  enter(request: S3Request, caller: S3Caller): Soon<unknown> {
    const { exchange } = request
    request.caller = caller
    const accessKeyId = caller.request.accessKeyId
    if (caller.account === undefined || accessKeyId === undefined) return undefined
    exchange.note({ accessKeyId })
    this.parts.meters.proved(exchange, caller.account.id)
    return this.settings.rates.enter(caller.limited, exchange)
  }

  /** Throws the failures of the operation, and `accessDenied`, `noSuchBucket`, `invalidBucketName`. */
  run(request: S3Request, caller: S3Caller, translation: Translation): Soon<S3Answer> {
    const { exchange, nowMs } = request
    const { operation, bucket, rawKey } = translation
    const parameters = (translation.query ?? []).map(([name, value]) => ({ name, value, assigned: true }))
    const [query, headers] = [new RequestQuery(parameters), this.shapes.ofFlat([...translation.headers])]
    const target: S3Target = {
      bucket,
      rawKey,
      rawQuery: "",
      style: "path",
      rawPath: exchange.rawTarget.split("?")[0] ?? "",
    }
    request.headers = headers
    request.target = target
    request.query = query
    request.operation = operation
    const parts = { exchange, operation, target, query, headers, signer: caller, nowMs, request }
    const call = new S3Call(this.context, { ...parts, file: translation.body, formTags: undefined })
    const admitted = { operation, plan: this.plans.of(operation, headers), target, call, form: undefined }
    const run = () => this.parts.runner.run(request, admitted)
    return operation.heavy ? after(call.turn(), run) : run()
  }

  /** Notes why a request failed. `claimed`: the key that it claims to come from. */
  noteRefusal(request: S3Request, failure: Failure, answer: RefusingAnswer, claimed: () => string | undefined): void {
    const { service, status, title: code } = answer
    request.failure = failure
    // Statuses are the only codes of the other protocol.
    this.refusals.note(request.exchange, failure, { status, code: failure.kind }, () =>
      deniedRequest(request, failure, { service, status, code, claimed: claimed() }),
    )
  }
}
