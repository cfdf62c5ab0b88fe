/**
 * IAM and STS over HTTP: a form or a query with `Action=…` in, XML out.
 *
 * Promises  The order of checks: the signature over the whole body, the action's name, its parameters' names, the
 *           caller's policies; only then is anything read or changed. Unsigned requests reach only the action that
 *           accepts a web identity, or a name and a password of a directory.
 * Limits    A body of `BODY_BYTES_MAX`; the store's region does not matter, since these services are global.
 */
import {
  requireAllowed,
  type Accounts,
  type AuditLog,
  type Identities,
  type Keyring,
  type Sessions,
} from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { splitTarget } from "@hayloft/base/http/uri.js"
import type { Exchange, PlainAnswer, Protocol } from "../http/index.js"
import type { Web } from "@hayloft/base/seams/web/contract.js"
import {
  accessRequestOf,
  SignedFrame,
  type AdmittedRequest,
  type Asking,
  type FrameSettings,
  type FailedRequest,
  type Route,
  type SignedProtocol,
} from "../signed/index.js"
import type { Action, IamCall, IamService, OpenCall, IamResult } from "./action.js"
import { findAction } from "./actions.js"
import { auditedAction } from "./audit-actions.js"
import { errorAnswer, resultAnswer, VERSIONS } from "./answers.js"
import type { LdapSignIn } from "./ldap-sign-in.js"
import { iamErrorOf, type IamError } from "./failures.js"
import { Parameters } from "./parameters.js"
import { iamContextOf } from "./request-context.js"
import { isIamService, signedService } from "./speaks-iam.js"
import { WebIdentities } from "./web-identities.js"

const BODY_BYTES_MAX = 256 * KIB
/** Enough for a web identity's token and session policies. */
const UNSIGNED_BYTES_MAX = 64 * KIB

interface IamSettings extends FrameSettings {
  readonly accounts: Accounts & Keyring
  readonly identities: Identities
  readonly sessions: Sessions
  readonly web: Web
  /** Records changes. */
  readonly audit: Pick<AuditLog, "begin">
  /** Sign-in by a directory; undefined: none is configured. */
  readonly ldap?: LdapSignIn | undefined
  /** See `named-roles.ts`. Default: false. */
  readonly ignoresUnknownRoles?: boolean
}

interface IamRoute extends Route {
  /** The name of the action that the client sends. */
  readonly name: string
  readonly action: Action | undefined
  readonly parameters: Parameters
}

/** A request without a signature, to an action that needs none. */
type Guest = "unsigned"

export const createIamHandler = (settings: IamSettings): Protocol => new SignedFrame(settings, new Iam(settings))

const serviceSignedFor = (exchange: Exchange): string | undefined =>
  signedService({ rawTarget: exchange.rawTarget, header: name => exchange.header(name) })

function serviceOf(exchange: Exchange): IamService {
  const signedFor = serviceSignedFor(exchange)
  return isIamService(signedFor) ? signedFor : "sts"
}

class Iam implements SignedProtocol<IamRoute, IamError, Guest> {
  readonly region = undefined
  private readonly webIdentities: WebIdentities

  constructor(private readonly settings: IamSettings) {
    const { web, accounts, identities } = settings
    this.webIdentities = new WebIdentities(web, accounts, identities)
  }

  serviceOf(exchange: Exchange): IamService {
    return serviceOf(exchange)
  }

  bodyBytesMax(exchange: Exchange): number {
    return serviceSignedFor(exchange) === undefined ? UNSIGNED_BYTES_MAX : BODY_BYTES_MAX
  }

  route(exchange: Exchange, body: Uint8Array): IamRoute {
    const { rawQuery } = splitTarget(exchange.rawTarget)
    // In the query of a signed request `+` is a plus sign, as in the signed text.
    const query = serviceSignedFor(exchange) === undefined ? rawQuery : rawQuery.replaceAll("+", "%2B")
    const parameters = new Parameters(query, Buffer.from(body).toString())
    const name = parameters.text("Action")
    const action = findAction(serviceOf(exchange), name)
    return { name, action, parameters, operation: action === undefined ? "" : name }
  }

  guestOf({ route }: Asking<IamRoute>): Guest {
    // Strangers, too, learn that their parameters are wrong.
    if (route === undefined || route.action?.kind === "open") return "unsigned"
    throw unsigned()
  }

  async perform(request: AdmittedRequest<IamRoute, Guest>): Promise<PlainAnswer> {
    const { exchange, route } = request
    const { name, action, parameters } = route
    const service = serviceOf(exchange)
    checkSupported(service, name, action, parameters)
    const result = await this.act(request, service, action)
    return resultAnswer(service, name, result ?? undefined, exchange.requestId)
  }

  private async act(
    request: AdmittedRequest<IamRoute, Guest>,
    service: IamService,
    action: Supported,
  ): Promise<IamResult | void> {
    const { exchange, route, sender, nowMs } = request
    const { parameters } = route
    const region = sender === "unsigned" ? "" : sender.signedRegion
    const source = { exchange, parameters, region }
    const context = iamContextOf({ ...source, target: undefined })
    const { webIdentities, settings } = this
    const { ldap, ignoresUnknownRoles = false } = settings
    const { requestId, remoteAddress } = exchange
    const ofRequest = { parameters, context, nowMs, requestId, remoteAddress }
    const open: OpenCall = { ...settings, ldap, ignoresUnknownRoles, webIdentities, ...ofRequest }
    if (action.kind === "open") return await action.act(open)
    if (sender === "unsigned") throw unsigned()
    const { key } = sender
    const call: IamCall = { ...open, caller: key, accountId: key.account.id, number: key.account.number }
    const targets = action.kind === "guarded" ? [await action.on(call)].flat() : []
    const named = `${service}:${route.name}`
    for (const target of targets) {
      const asked = {
        action: target.action ?? named,
        resource: target.arn,
        context: iamContextOf({ ...source, target }),
      }
      checkSession(asked.action, call)
      requireAllowed(accessRequestOf(request, key, region, asked), key.policies)
    }
    const audited = { action: named, requestId, remoteAddress, targets: targets.map(({ arn }) => arn) }
    return await auditedAction(this.settings.audit, audited, call, () => action.act(call))
  }

  errorOf(failure: Failure, { exchange }: FailedRequest<IamRoute>): IamError {
    return iamErrorOf(failure, exchange === undefined ? "iam" : serviceOf(exchange))
  }

  errorAnswer(error: IamError, { exchange, requestId }: FailedRequest<IamRoute>): PlainAnswer {
    return errorAnswer(exchange === undefined ? "iam" : serviceOf(exchange), error, requestId)
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

/** Throws `accessDenied`. */
function checkSession(action: string, { caller }: IamCall): void {
  if (!action.startsWith("iam:") || caller.session !== "key") return
  throw fail("accessDenied", {
    message: "IAM cannot be called with credentials from GetSessionToken; sign with the long-term key.",
  })
}
