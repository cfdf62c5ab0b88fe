/**
 * Queues over HTTP, on a port of their own: the REST API and both protocols of Amazon's SQS, over the same queues.
 *
 * Promises  The order of checks: the body's length, the signature over the whole body, the operation and its parameters, the
 *           caller's policies; only then is anything read or changed. Nothing is anonymous. Bodies of messages are not logged.
 * Limits    A body of `BODY_BYTES_MAX`. What waits: `Polls`, QUEUE_WATCH_LIMITS.
 * Sources   "Disque README"; "AWS JSON 1.0 protocol", Smithy.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { requireAllowed } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { splitTarget } from "@hayloft/base/http/uri.js"
import type { Exchange, PlainAnswer, Protocol } from "../http/index.js"
import type { Queues } from "@hayloft/features/queues/index.js"
import {
  accessRequestOf,
  SignedFrame,
  type AdmittedRequest,
  type FrameSettings,
  type FailedRequest,
  type Route,
  type SignedProtocol,
} from "../signed/index.js"
import { queueArn, SERVICE, type QueueAction } from "./actions.js"
import type { QueueCall, StoreOfQueues } from "./call.js"
import { olderErrorOf, restErrorOf, sqsErrorOf, SqsRefusal, type QueueError } from "./failures.js"
import { REST_OPERATIONS } from "./rest-operations.js"
import { restRouteOf, type RestRoute } from "./rest-route.js"
import { SqsInput } from "./sqs-input.js"
import { inputOfQuery, olderAnswer, olderErrorAnswer, olderOperationOf } from "./sqs-query.js"
import { REFUSED_OPERATIONS, SQS_OPERATIONS, type SqsOperation } from "./sqs-operations.js"

/** Ten messages of 1 MiB together, with what JSON adds. */
const BODY_BYTES_MAX = 8 * MIB
const TARGET_HEADER = "x-amz-target"
const TARGET = /^AmazonSQS\.(\w{1,100})$/

interface QueueApiSettings extends FrameSettings {
  readonly queues: Queues
  readonly store: StoreOfQueues
  /** If undefined, any region is accepted. */
  readonly region: string | undefined
}

/** The protocol of the client: the JSON protocol of SQS, by a header, or its older one, by the body. */
type QueueRoute = Route &
  (
    | { readonly protocol: "rest"; readonly rest: RestRoute }
    | { readonly protocol: "json" | "query"; readonly name: string; readonly input: () => SqsInput }
  )

export const createQueueHandler = (settings: QueueApiSettings): Protocol =>
  new SignedFrame(settings, new QueueApi(settings))

class QueueApi implements SignedProtocol<QueueRoute, QueueError> {
  readonly region: string | undefined

  constructor(private readonly settings: QueueApiSettings) {
    this.region = settings.region
  }

  serviceOf(): string {
    return SERVICE
  }

  bodyBytesMax(): number {
    return BODY_BYTES_MAX
  }

  route(exchange: Exchange, body: Uint8Array): QueueRoute {
    const { method, rawTarget } = exchange
    const target = exchange.header(TARGET_HEADER)
    if (target !== undefined) {
      const name = TARGET.exec(target)?.[1] ?? ""
      return { protocol: "json", ...named(name), input: () => SqsInput.parse(Buffer.from(body).toString()) }
    }
    const { rawPath, rawQuery } = splitTarget(rawTarget)
    const form = isForm(exchange) ? Buffer.from(body).toString() : ""
    const older = olderOperationOf(rawPath, rawQuery, form)
    if (older !== undefined) {
      const input = () => SqsInput.of(inputOfQuery({ operation: older, rawPath, rawQuery, form }), "")
      return { protocol: "query", ...named(older), input }
    }
    const rest = restRouteOf(method, rawTarget)
    return { protocol: "rest", operation: rest.operation, rest }
  }

  guestOf(): never {
    throw fail("accessDenied", { message: "Queues need a signature.", unsigned: true })
  }

  async perform(request: AdmittedRequest<QueueRoute, never>): Promise<PlainAnswer> {
    const { route, exchange } = request
    const { requestId } = exchange
    const call = this.callOf(request)
    if (route.protocol === "rest") {
      const answer = await REST_OPERATIONS[route.rest.operation](call, route.rest)
      return { ...answer, headers: [...answer.headers, "x-amz-request-id", requestId] }
    }
    const { name } = route
    const operation = supported(name)
    const input = route.input()
    input.checkKnown(operation.members)
    const result = (await operation.act(call, input)) ?? {}
    return route.protocol === "query" ? olderAnswer(name, result, requestId) : sqsAnswer(200, requestId, result, [])
  }

  private callOf(request: AdmittedRequest<QueueRoute, never>): QueueCall {
    const { exchange, body, until, sender } = request
    const { queues, store, clock } = this.settings
    const { key, verified } = sender
    const { id: account, number } = key.account
    const { principal } = key
    const arn = principal.kind === "session" ? principal.sessionArn : principal.arn
    const region = this.region ?? REGION_DEFAULT
    const require = (action: QueueAction, queue?: string): void => {
      const resource = queue === undefined ? "*" : queueArn(region, number, queue)
      const asked = accessRequestOf(request, key, verified.region, { action: `${SERVICE}:${action}`, resource })
      requireAllowed(asked, key.policies)
    }
    return {
      queues,
      until,
      store,
      caller: { account, number, arn },
      region,
      exchange,
      body,
      require,
      nowMs: () => clock.wallMs(),
    }
  }

  errorOf(failure: Failure, place: FailedRequest<QueueRoute>): QueueError {
    return protocolOf(place) === "rest" ? restErrorOf(failure) : sqsErrorOf(failure)
  }

  errorAnswer(error: QueueError, place: FailedRequest<QueueRoute>): PlainAnswer {
    return ERROR_ANSWERS[protocolOf(place)](error, place.requestId)
  }
}

/** The protocol of a request, also if it could not be read. */
const protocolOf = ({ route, exchange }: FailedRequest<QueueRoute>): QueueRoute["protocol"] =>
  route?.protocol ?? (exchange?.header(TARGET_HEADER) === undefined ? "rest" : "json")

const named = (name: string): { readonly name: string; readonly operation: string } => ({
  name,
  operation: Object.hasOwn(SQS_OPERATIONS, name) || REFUSED_OPERATIONS.has(name) ? name : "",
})

const isForm = (exchange: Exchange): boolean =>
  exchange.header("content-type")?.startsWith("application/x-www-form-urlencoded") === true

/** Throws `UnknownOperationException`, `UnsupportedOperation`. */
function supported(name: string): SqsOperation {
  const found = Object.hasOwn(SQS_OPERATIONS, name) ? SQS_OPERATIONS[name] : undefined
  if (found !== undefined) return found
  if (REFUSED_OPERATIONS.has(name))
    throw new SqsRefusal("UnsupportedOperation", `The operation ${name} is not supported.`)
  throw new SqsRefusal("UnknownOperationException", `There is no operation ${name.slice(0, 100)}.`)
}

const sqsAnswer = (
  status: number,
  requestId: string,
  result: Readonly<Record<string, unknown>>,
  headers: readonly string[],
): PlainAnswer => ({
  status,
  headers: ["x-amzn-RequestId", requestId, "Content-Type", "application/x-amz-json-1.0", ...headers],
  body: Buffer.from(JSON.stringify(result)),
})

const sqsErrorAnswer = (error: QueueError, requestId: string): PlainAnswer => {
  const { code, status, message } = error
  const result = { __type: `com.amazonaws.sqs#${code}`, message }
  return sqsAnswer(status, requestId, result, ["x-amzn-query-error", olderErrorOf(error)])
}

const restErrorAnswer = ({ code, status, message }: QueueError, requestId: string): PlainAnswer => ({
  status,
  headers: ["Content-Type", "application/json", "x-amz-request-id", requestId],
  body: Buffer.from(JSON.stringify({ code, message })),
})

const ERROR_ANSWERS = { rest: restErrorAnswer, json: sqsErrorAnswer, query: olderErrorAnswer } as const
