/**
 * IAM and STS over HTTP: a form or a query with `Action=…` in, XML out.
 *
 * Promises  The order of checks: the signature over the whole body, the action's name, its parameters' names, the
 *           caller's policies; only then is anything read or changed. Unsigned requests reach only the action that
 *           accepts a web identity.
 * Limits    A body of `BODY_BYTES_MAX`; the store's region does not matter, since these services are global.
 */
import {
  sha256Hex,
  requireAllowed,
  SignedCallers,
  type Accounts,
  type AuditLog,
  type Denials,
  type Identities,
  type Keyring,
  type KnownKey,
  type ProvesSecrets,
  type RateLimiter,
  type SignedCaller,
  type RequestContext,
  type Sessions,
} from "../access/index.js"
import { asFailure, fail } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import { splitTarget } from "../base/uri.js"
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Web } from "../seams/web/contract.js"
import type { Action, Call, IamService, OpenCall, Result, Target } from "./action.js"
import { findAction } from "./actions.js"
import { auditedAction } from "./audit-actions.js"
import { errorAnswer, resultAnswer, VERSIONS } from "./answers.js"
import { iamErrorOf } from "./failures.js"
import { Parameters } from "./parameters.js"
import { contextOf } from "./request-context.js"
import { isIamService, signedService } from "./speaks-iam.js"
import { WebIdentities } from "./web-identities.js"

const BODY_BYTES_MAX = 256 * KIB
/** Enough for a web identity's token and session policies. */
const UNSIGNED_BYTES_MAX = 64 * KIB

interface IamSettings {
  readonly accounts: Accounts & Keyring
  readonly identities: Identities
  readonly sessions: Sessions
  readonly web: Web
  readonly clock: Clock
  /** Records denied requests, so that the operator can have them explained. */
  readonly denials: Denials
  /** Applies the limits of accounts and keys. */
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits attempts with a wrong secret. */
  readonly attempts: ProvesSecrets
  /** Records changes. */
  readonly audit: Pick<AuditLog, "begin">
}

/** A request as far as it has been parsed. */
interface Request {
  readonly exchange: Exchange
  readonly service: IamService
  readonly nowMs: number
  key?: KnownKey
  /** The action's name. */
  action?: string
}

/** A parsed request whose signature, if it has one, is valid. */
interface IamRequest {
  readonly exchange: Exchange
  /** As policies name it: `iam:CreateUser`. */
  readonly action: string
  readonly parameters: Parameters
  readonly signer: SignedCaller | undefined
  readonly nowMs: number
}

export const createIamHandler = (settings: IamSettings): Protocol => new IamHandler(settings)

class IamHandler implements Protocol {
  private readonly callers: SignedCallers
  private readonly webIdentities: WebIdentities

  constructor(private readonly settings: IamSettings) {
    this.callers = new SignedCallers(settings)
    const { web, accounts, identities } = settings
    this.webIdentities = new WebIdentities(web, accounts, identities)
  }

  async handle(exchange: Exchange): Promise<void> {
    const signedFor = signedService({ rawTarget: exchange.rawTarget, header: name => exchange.header(name) })
    const service = isIamService(signedFor) ? signedFor : "sts"
    const request: Request = { exchange, service, nowMs: this.settings.clock.wallMs() }
    try {
      await exchange.respond(await this.answer(request, signedFor !== undefined))
    } catch (error) {
      const failure = asFailure(error)
      if (exchange.answered || failure.kind === "internal") throw error
      const answer = iamErrorOf(failure, service)
      const { nowMs, key, action: operation = "" } = request
      this.callers.noteRefusal(exchange, { service, operation, nowMs, key, answer }, failure)
      await exchange.respond(errorAnswer(service, answer, exchange.requestId))
    }
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = iamErrorOf(failure, "iam")
    return errorAnswer("iam", status === undefined ? error : { ...error, status }, requestId)
  }

  private async answer(request: Request, isSigned: boolean): Promise<PlainAnswer> {
    const { exchange, service, nowMs } = request
    const body = await readBody(exchange, isSigned ? BODY_BYTES_MAX : UNSIGNED_BYTES_MAX)
    const rules = { service, region: undefined, bodySha256: sha256Hex(body) }
    const signer = await exchange.timing.measure("auth", () =>
      this.callers.admit(exchange, rules, nowMs, key => (request.key = key)),
    )
    const { rawQuery } = splitTarget(exchange.rawTarget)
    const parameters = new Parameters(rawQuery, Buffer.from(body).toString())
    const name = parameters.text("Action")
    const action = findAction(service, name)
    if (action !== undefined) {
      exchange.note({ operation: `${service}:${name}` })
      request.action = name
    }
    if (signer === undefined && action?.kind !== "open") throw unsigned()
    checkSupported(service, name, action, parameters)
    const result = await this.perform({ exchange, action: `${service}:${name}`, parameters, signer, nowMs }, action)
    return resultAnswer(service, name, result ?? undefined, exchange.requestId)
  }

  private async perform(request: IamRequest, action: Supported): Promise<Result | void> {
    const { exchange, parameters, signer, nowMs } = request
    const source = { exchange, parameters, region: signer?.signedRegion ?? "" }
    const context = contextOf({ ...source, target: undefined })
    const open: OpenCall = { ...this.settings, webIdentities: this.webIdentities, parameters, context, nowMs }
    if (action.kind === "open") return await action.act(open)
    if (signer === undefined) throw unsigned()
    const { account } = signer.key
    const call: Call = { ...open, caller: signer.key, accountId: account.id, number: account.number }
    const targets = action.kind === "guarded" ? [await action.on(call)].flat() : []
    for (const target of targets) {
      authorize(target.action ?? request.action, call, target, contextOf({ ...source, target }))
    }
    const { requestId, remoteAddress } = exchange
    const audited = { action: request.action, requestId, remoteAddress, targets: targets.map(({ arn }) => arn) }
    return await auditedAction(this.settings.audit, audited, call, () => action.act(call))
  }
}

type Supported = Exclude<Action, { readonly kind: "refused" }>

const unsigned = () => fail("accessDenied", { message: "Request is missing Authentication Token", unsigned: true })

/** Throws `notImplemented`, `invalidArgument`. */
function checkSupported(
  service: IamService,
  name: string,
  action: Action | undefined,
  parameters: Parameters,
): asserts action is Supported {
  const version = parameters.optional("Version") ?? VERSIONS[service]
  if (action === undefined || action.kind === "refused" || version !== VERSIONS[service]) {
    const shown = `${name.slice(0, 100)} of ${service} ${version.slice(0, 20)}`
    throw fail("notImplemented", { message: `The action ${shown} is not supported.` })
  }
  parameters.checkKnown(name, action.parameters)
}

/** Checks that the caller's policies allow an action, as policies name it. Throws `accessDenied`. */
function authorize(
  action: string,
  { caller, accountId, number, nowMs }: Call,
  target: Target,
  context: RequestContext,
): void {
  const { principal, policies } = caller
  if (action.startsWith("iam:") && caller.session === "key") {
    throw fail("accessDenied", {
      message: "IAM cannot be called with credentials from GetSessionToken; sign with the long-term key.",
    })
  }
  const owner = { accountId, accountNumber: number }
  requireAllowed({ principal, action, resource: target.arn, owner, nowMs, context }, policies)
}
