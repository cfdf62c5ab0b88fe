/**
 * Queues over HTTP, on a port of their own: the REST API and both protocols of Amazon's SQS, over the same queues.
 *
 * Promises  The order of checks: the body's length, the signature over the whole body, the operation and its parameters, the
 *           caller's policies; only then is anything read or changed. Nothing is anonymous. Bodies of messages are not logged.
 * Limits    A body of `BODY_BYTES_MAX`. What waits: `Polls`, QUEUE_WATCH_LIMITS.
 * Sources   "Disque README"; "AWS JSON 1.0 protocol", Smithy.
 */
import { REGION_DEFAULT } from "../base/region.js"
import {
  sha256Hex,
  requireAllowed,
  SignedCallers,
  sourceContext,
  type Denials,
  type Keyring,
  type KnownKey,
  type ProvesSecrets,
  type RateLimiter,
  type SignedCaller,
} from "../access/index.js"
import { asFailure, fail } from "../base/failures.js"
import { MIB } from "../base/limits.js"
import { splitTarget } from "../base/uri.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import { Polls } from "../life/index.js"
import type { Queues } from "../features/queues/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { queueArn, SERVICE, type QueueAction } from "./actions.js"
import type { Call, StoreOfQueues } from "./call.js"
import { olderErrorOf, restErrorOf, sqsErrorOf, SqsRefusal, type QueueError } from "./failures.js"
import { REST_OPERATIONS } from "./rest-operations.js"
import { routeOf } from "./rest-route.js"
import { Input } from "./sqs-input.js"
import { inputOfQuery, olderAnswer, olderErrorAnswer, olderOperationOf } from "./sqs-query.js"
import { REFUSED_OPERATIONS, SQS_OPERATIONS, type Operation } from "./sqs-operations.js"

/** Ten messages of 1 MiB together, with what JSON adds. */
const BODY_BYTES_MAX = 8 * MIB
const TARGET = /^AmazonSQS\.(\w{1,100})$/

interface QueueApiSettings {
  readonly queues: Queues
  readonly store: StoreOfQueues
  readonly accounts: Keyring
  readonly clock: Clock
  /** If undefined, any region is accepted. */
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
  /** The protocol of the client: the JSON protocol of SQS, by a header, or its older one, by the body. */
  protocol: "rest" | "json" | "query"
  operation: string
  key?: KnownKey
}

export const createQueueHandler = (settings: QueueApiSettings): Protocol => new QueueHandler(settings)

class QueueHandler implements Protocol {
  private readonly callers: SignedCallers
  private readonly polls: Polls

  constructor(private readonly settings: QueueApiSettings) {
    this.callers = new SignedCallers(settings)
    this.polls = new Polls(settings.clock)
  }

  async handle(exchange: Exchange): Promise<void> {
    const target = exchange.header("x-amz-target")
    const request: Request = {
      ...{ exchange, nowMs: this.settings.clock.wallMs(), protocol: target === undefined ? "rest" : "json" },
      operation: TARGET.exec(target ?? "")?.[1] ?? "",
    }
    try {
      await exchange.respond(await this.answer(request))
    } catch (error) {
      const failure = asFailure(error)
      if (exchange.answered || failure.kind === "internal") throw error
      const { nowMs, key, operation, protocol } = request
      const answer = protocol === "rest" ? restErrorOf(failure) : sqsErrorOf(failure)
      this.callers.noteRefusal(exchange, { service: SERVICE, operation, nowMs, key, answer }, failure)
      await exchange.respond(ERROR_ANSWERS[protocol](answer, exchange.requestId))
    }
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = restErrorOf(failure)
    return restErrorAnswer(status === undefined ? error : { ...error, status }, requestId)
  }

  /** Requests that wait are answered that there are no messages. */
  stop(): void {
    this.polls.stop()
  }

  private async answer(request: Request): Promise<PlainAnswer> {
    const { exchange } = request
    const body = await readBody(exchange, BODY_BYTES_MAX)
    const { rawPath, rawQuery } = splitTarget(exchange.rawTarget)
    const form = isForm(exchange) ? Buffer.from(body).toString() : ""
    const older = request.protocol === "rest" ? olderOperationOf(rawPath, rawQuery, form) : undefined
    if (older !== undefined) {
      request.protocol = "query"
      request.operation = older
    }
    const caller = await exchange.timing.measure("auth", () => this.admit(request, body))
    const call = this.callOf(request, caller, body)
    if (request.protocol === "rest") {
      const route = routeOf(exchange.method, exchange.rawTarget)
      this.begins(request, route.operation)
      const answer = await REST_OPERATIONS[route.operation](call, route)
      return { ...answer, headers: [...answer.headers, "x-amz-request-id", exchange.requestId] }
    }
    const { operation: name } = request
    const operation = supported(name)
    this.begins(request, name)
    const isOlder = request.protocol === "query"
    const input = isOlder
      ? Input.of(inputOfQuery({ operation: name, rawPath, rawQuery, form }), "")
      : Input.parse(Buffer.from(body).toString())
    input.checkKnown(operation.members)
    const result = (await operation.act(call, input)) ?? {}
    return isOlder ? olderAnswer(name, result, exchange.requestId) : sqsAnswer(200, exchange.requestId, result, [])
  }

  private begins(request: Request, operation: string): void {
    request.operation = operation
    request.exchange.note({ operation: `${SERVICE}:${operation}` })
  }

  /** Throws as `SignedCallers`; `accessDenied` without a signature. */
  private async admit(request: Request, body: Uint8Array): Promise<SignedCaller> {
    const { exchange, nowMs } = request
    const rules = { service: SERVICE, region: this.settings.region, bodySha256: sha256Hex(body) }
    const caller = await this.callers.admit(exchange, rules, nowMs, key => (request.key = key))
    if (caller !== undefined) return caller
    throw fail("accessDenied", { message: "Queues need a signature.", unsigned: true })
  }

  private callOf({ exchange, nowMs }: Request, { key, verified }: SignedCaller, body: Uint8Array): Call {
    const { queues, store, clock } = this.settings
    const { id: account, number } = key.account
    const { principal } = key
    const arn = principal.kind === "session" ? principal.sessionArn : principal.arn
    const region = this.settings.region ?? REGION_DEFAULT
    const require = (action: QueueAction, queue?: string): void => {
      const asked = {
        ...{ principal, action: `${SERVICE}:${action}`, nowMs },
        resource: queue === undefined ? "*" : queueArn(region, number, queue),
        owner: { accountId: account, accountNumber: number },
        context: sourceContext(exchange, verified.region),
      }
      requireAllowed(asked, key.policies)
    }
    return {
      ...{ queues, polls: this.polls, store, caller: { account, number, arn }, region, exchange, body, require },
      nowMs: () => clock.wallMs(),
    }
  }
}

const isForm = (exchange: Exchange): boolean =>
  exchange.header("content-type")?.startsWith("application/x-www-form-urlencoded") === true

/** Throws `UnknownOperationException`, `UnsupportedOperation`. */
function supported(name: string): Operation {
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
