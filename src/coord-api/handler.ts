/**
 * Coordination over HTTP: `/coord/` of the admin port.
 *
 * Promises  The order of checks: the body's length, the caller, the operation and its parameters, the caller's policies; only
 *           then is anything read or changed. Callers sign with Signature Version 4 and the service name `coord`, or send
 *           what the rest of the port accepts. Nothing is anonymous. Contents of files are not logged.
 * Limits    A body of `BODY_BYTES_MAX`, or of a file. What waits: `Polls`, COORD_LIMITS.
 */
import {
  sha256Hex,
  requireAllowed,
  SignedCallers,
  sourceContext,
  type ConsoleHolder,
  type Denials,
  type Keyring,
  type KnownKey,
  type ProvesSecrets,
  type RateLimiter,
  type RequestContext,
} from "../access/index.js"
import { errorReplyOf, type CallerState, type ErrorReply } from "../admin/index.js"
import { asFailure, fail } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import type { AccountId } from "../base/ids.js"
import { COORD_LIMITS, type Coordination } from "../features/locks/index.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import { Polls } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { coordArn, SERVICE, type CoordAction } from "./actions.js"
import type { Call } from "./call.js"
import { COORD_OPERATIONS } from "./operations.js"
import { COORD_PREFIX, routeOf } from "./route.js"

/** Bytes of any body except the content of a file. */
const BODY_BYTES_MAX = 8 * KIB
const FILES = `${COORD_PREFIX}files/`

interface CoordApiSettings {
  readonly coordination: Coordination
  readonly accounts: Keyring
  readonly clock: Clock
  /** The region is undefined if any region will do. */
  readonly region: string | undefined
  /** In ARNs. */
  readonly shownRegion: string
  readonly rootAccount: AccountId
  /** Returns the sender of a request that is not signed. Throws if its credentials are missing or not valid. */
  readonly holderOf: (exchange: Exchange) => Promise<ConsoleHolder>
  /** Records denied requests, so that the operator can have them explained. */
  readonly denials: Denials
  /** Applies the limits of accounts and keys. */
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits attempts with a wrong secret. */
  readonly attempts: ProvesSecrets
}

/** A request as far as it is known. */
interface Request {
  caller: CallerState
  readonly exchange: Exchange
  readonly nowMs: number
  operation: string
  key?: KnownKey
}

export const createCoordHandler = (settings: CoordApiSettings): Protocol => new CoordHandler(settings)

export const speaksCoord = ({ rawTarget }: Pick<Exchange, "rawTarget">): boolean => rawTarget.startsWith(COORD_PREFIX)

const SIGNED = /^AWS4-HMAC-SHA256 /
const READS: ReadonlySet<string> = new Set(["GET", "HEAD"])

class CoordHandler implements Protocol {
  private readonly callers: SignedCallers
  private readonly polls: Polls

  constructor(private readonly settings: CoordApiSettings) {
    this.callers = new SignedCallers(settings)
    this.polls = new Polls(settings.clock)
  }

  async handle(exchange: Exchange): Promise<void> {
    const request: Request = { caller: "unknown", exchange, nowMs: this.settings.clock.wallMs(), operation: "" }
    try {
      await exchange.respond(await this.answer(request))
    } catch (error) {
      const failure = asFailure(error)
      if (exchange.answered || failure.kind === "internal") throw error
      const { nowMs, key, operation } = request
      const answer = errorReplyOf(failure, request.caller)
      this.callers.noteRefusal(exchange, { service: SERVICE, operation, nowMs, key, answer }, failure)
      await exchange.respond(errorAnswer(answer, exchange.requestId))
    }
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = errorReplyOf(failure, "unknown")
    return errorAnswer(status === undefined ? error : { ...error, status }, requestId)
  }

  /** Requests that wait are answered as if their time was over. */
  stop(): void {
    this.polls.stop()
  }

  private async answer(request: Request): Promise<PlainAnswer> {
    const { exchange } = request
    const isFile = exchange.method === "PUT" && exchange.rawTarget.startsWith(FILES)
    const body = await readBody(exchange, isFile ? COORD_LIMITS.fileBytesMax : BODY_BYTES_MAX)
    const call = await exchange.timing.measure("auth", () => this.admit(request, body))
    request.caller = "known"
    const route = routeOf(exchange.method, exchange.rawTarget)
    request.operation = route.operation
    exchange.note({ operation: `${SERVICE}:${route.operation}` })
    const answer = await COORD_OPERATIONS[route.operation](call, route)
    return { ...answer, headers: [...answer.headers, "x-request-id", exchange.requestId] }
  }

  /** Throws as `SignedCallers`, and as `holderOf`; `outOfScope`. */
  private async admit(request: Request, body: Uint8Array): Promise<Call> {
    const { exchange, nowMs } = request
    if (SIGNED.test(exchange.header("authorization") ?? "")) {
      const { region } = this.settings
      const rules = { service: SERVICE, region, bodySha256: sha256Hex(body) }
      const caller = await this.callers.admit(exchange, rules, nowMs, key => (request.key = key))
      if (caller === undefined) throw fail("accessDenied", { message: "The request needs a signature." })
      return this.callOfKey(request, caller.key, sourceContext(exchange, caller.verified.region), body)
    }
    const holder = await this.settings.holderOf(exchange)
    if (holder.kind === "principal") {
      request.key = holder.key
      return this.callOfKey(request, holder.key, sourceContext(exchange, ""), body)
    }
    if (holder.kind === "token") checkScope(holder.token, exchange.method)
    const name = holder.kind === "token" ? `token ${holder.token.name}` : "operator"
    const caller = { account: this.settings.rootAccount, principal: name, isOperator: true }
    return { ...this.parts(exchange, body), caller, require: () => undefined }
  }

  private parts(exchange: Exchange, body: Uint8Array) {
    return { coordination: this.settings.coordination, polls: this.polls, exchange, body }
  }

  private callOfKey({ exchange, nowMs }: Request, key: KnownKey, context: RequestContext, body: Uint8Array): Call {
    const { principal, policies } = key
    const { id: account, number } = key.account
    const require = (action: CoordAction, path?: string): void => {
      const asked = {
        ...{ principal, action: `${SERVICE}:${action}`, nowMs, context },
        resource: path === undefined ? "*" : coordArn(this.settings.shownRegion, number, path),
        owner: { accountId: account, accountNumber: number },
      }
      requireAllowed(asked, policies)
    }
    return { ...this.parts(exchange, body), caller: { account, principal: principal.arn, isOperator: false }, require }
  }
}

/** Throws `outOfScope`. */
function checkScope(
  { name, scopes }: { readonly name: string; readonly scopes: readonly string[] },
  method: string,
): void {
  if (scopes.includes("all") || (READS.has(method) && scopes.includes("read"))) return
  throw fail("outOfScope", { message: `the token "${name}" lacks the scope ${READS.has(method) ? "read" : "all"}` })
}

const errorAnswer = ({ code, status, message }: ErrorReply, requestId: string): PlainAnswer => ({
  status,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store", "x-request-id", requestId],
  body: Buffer.from(`${JSON.stringify({ error: { code, message } })}\n`),
})
