/**
 * Coordination over HTTP: `/coord/` of the admin port.
 *
 * Promises  The order of checks: the body's length, the caller, the operation and its parameters, the caller's policies; only
 *           then is anything read or changed. Callers sign with Signature Version 4 and the service name `coord`, or send
 *           what the rest of the port accepts. Nothing is anonymous. Contents of files are not logged.
 * Limits    A body of `BODY_BYTES_MAX`, or of a file. What waits: `Polls`, COORD_LIMITS.
 */
import { isStillHolder, requireAllowed, type ConsoleHolder, type KnownAccessKey } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { COORD_LIMITS, type Coordination } from "@hayloft/features/locks/index.js"
import type { Exchange, PlainAnswer, Protocol } from "../http/index.js"
import {
  accessRequestOf,
  errorReplyOf,
  SignedFrame,
  type AdmittedRequest,
  type Asking,
  type ErrorReply,
  type FrameSettings,
  type FailedRequest,
  type SignedProtocol,
} from "../signed/index.js"
import { coordArn, SERVICE, type CoordAction } from "./actions.js"
import type { CoordCall } from "./call.js"
import { COORD_OPERATIONS } from "./operations.js"
import { COORD_PREFIX, coordRouteOf, type CoordRoute } from "./route.js"

/** Bytes of any body except the content of a file. */
const BODY_BYTES_MAX = 8 * KIB
const FILES = `${COORD_PREFIX}files/`

interface CoordApiSettings extends FrameSettings {
  readonly coordination: Coordination
  /** The region is undefined if any region will do. */
  readonly region: string | undefined
  /** In ARNs. */
  readonly shownRegion: string
  readonly rootAccount: AccountId
  /** Returns the sender of a request that is not signed. Throws if its credentials are missing or not valid. */
  readonly holderOf: (exchange: Exchange) => Promise<ConsoleHolder>
}

/** The sender of a request that is not signed: the owner of a key who has signed in, or the operator, or the holder of a token. */
type Guest =
  | { readonly holder: ConsoleHolder; readonly key: KnownAccessKey; readonly verified?: undefined }
  | { readonly holder: ConsoleHolder; readonly key: undefined }

export const createCoordHandler = (settings: CoordApiSettings): Protocol =>
  new SignedFrame(settings, new CoordApi(settings))

export const speaksCoord = ({ rawTarget }: Pick<Exchange, "rawTarget">): boolean => rawTarget.startsWith(COORD_PREFIX)

const SIGNED = /^AWS4-HMAC-SHA256 /
const READS: ReadonlySet<string> = new Set(["GET", "HEAD"])

class CoordApi implements SignedProtocol<CoordRoute, ErrorReply, Guest> {
  readonly region: string | undefined

  constructor(private readonly settings: CoordApiSettings) {
    this.region = settings.region
  }

  serviceOf(): string {
    return SERVICE
  }

  bodyBytesMax({ method, rawTarget }: Exchange): number {
    return method === "PUT" && rawTarget.startsWith(FILES) ? COORD_LIMITS.fileBytesMax : BODY_BYTES_MAX
  }

  route({ method, rawTarget }: Exchange): CoordRoute {
    return coordRouteOf(method, rawTarget)
  }

  isSigned(exchange: Exchange): boolean {
    return SIGNED.test(exchange.header("authorization") ?? "")
  }

  /** Throws as `holderOf`; `outOfScope`, `rateExceeded`. */
  async guestOf({ exchange, admit }: Asking<CoordRoute>): Promise<Guest> {
    const holder = await this.holderOf(exchange)
    if (holder.kind !== "principal") return { holder, key: undefined }
    await admit(holder.key)
    return { holder, key: holder.key }
  }

  isStillGuest({ holder }: Guest, exchange: Exchange): Promise<boolean> {
    return isStillHolder(holder, () => this.holderOf(exchange))
  }

  private async holderOf(exchange: Exchange): Promise<ConsoleHolder> {
    const holder = await this.settings.holderOf(exchange)
    if (holder.kind === "token") checkScope(holder.token, exchange.method)
    return holder
  }

  async perform(request: AdmittedRequest<CoordRoute, Guest>): Promise<PlainAnswer> {
    const { route, exchange } = request
    const answer = await COORD_OPERATIONS[route.operation](this.callOf(request), route)
    return { ...answer, headers: [...answer.headers, "x-request-id", exchange.requestId] }
  }

  private callOf(request: AdmittedRequest<CoordRoute, Guest>): CoordCall {
    const { exchange, body, until, sender } = request
    const parts = { coordination: this.settings.coordination, until, exchange, body }
    if (sender.key === undefined) {
      const { holder } = sender
      const principal = holder.kind === "token" ? `token ${holder.token.name}` : holder.kind
      const caller = { account: this.settings.rootAccount, principal, isOperator: true }
      return { ...parts, caller, require: () => undefined }
    }
    const { key, verified } = sender
    const { principal, policies } = key
    const { id: account, number } = key.account
    const require = (action: CoordAction, path?: string): void => {
      const resource = path === undefined ? "*" : coordArn(this.settings.shownRegion, number, path)
      const asked = { action: `${SERVICE}:${action}`, resource }
      requireAllowed(accessRequestOf(request, key, verified?.region ?? "", asked), policies)
    }
    return { ...parts, caller: { account, principal: principal.arn, isOperator: false }, require }
  }

  errorOf(failure: Failure, { isKnown }: FailedRequest<CoordRoute>): ErrorReply {
    return errorReplyOf(failure, isKnown ? "known" : "unknown")
  }

  errorAnswer({ code, status, message }: ErrorReply, { requestId }: FailedRequest<CoordRoute>): PlainAnswer {
    const headers = ["Content-Type", "application/json", "Cache-Control", "no-store", "x-request-id", requestId]
    return { status, headers, body: Buffer.from(`${JSON.stringify({ error: { code, message } })}\n`) }
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
