/**
 * The frame of signed protocols: takes a request through the steps that all of them share, and answers it.
 *
 * Promises  Every request is recorded alike, whatever its protocol: its operation from the moment it is known, also if it is
 *           refused; the account and the key that have proved themselves, which are charged, counted and limited; the
 *           failure with its reason; each denial for the operator. Nothing of an operation runs before its sender is known.
 *           Internal errors are left to the server, which logs them.
 */
import { sha256Hex, type KnownAccessKey } from "@hayloft/access/index.js"
import { Failure, isFailure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { traced } from "@hayloft/base/trace.js"
import {
  readBody,
  type Exchange,
  type HttpAnswer,
  type PlainAnswer,
  type Protocol,
  type Refusal,
} from "../http/index.js"
import { Polls } from "@hayloft/base/life/index.js"
import type {
  AdmittedRequest,
  Asking,
  ErrorShown,
  FrameSettings,
  FailedRequest,
  Route,
  SenderUntil,
  SignedProtocol,
} from "./contract.js"
import { claimedAccount, KeyGate, type SignedCaller } from "./key-gate.js"
import { answerable, Refusals } from "./refusals.js"
import { RequestMeters } from "./request-meters.js"
import { SignedRequest } from "./signed-request.js"

const NO_BODY = new Uint8Array(0)

type Sender<Guest> =
  | { readonly signer: SignedCaller; readonly guest?: undefined }
  | { readonly signer: undefined; readonly guest: Guest }

export class SignedFrame<R extends Route, Shown extends ErrorShown, Guest = never> implements Protocol {
  private readonly gate: KeyGate
  private readonly meters: RequestMeters
  private readonly refusals: Refusals
  private readonly polls: Polls

  constructor(
    private readonly settings: FrameSettings,
    private readonly own: SignedProtocol<R, Shown, Guest>,
  ) {
    this.gate = new KeyGate(settings)
    this.meters = new RequestMeters(settings.metrics)
    this.refusals = new Refusals(settings.denials, this.meters)
    this.polls = new Polls(settings.clock)
  }

  accountOf(head: Pick<Exchange, "rawTarget" | "headers">): string | undefined {
    const { accounts, clock } = this.settings
    return claimedAccount(accounts, head, clock.wallMs())
  }

  async handle(exchange: Exchange): Promise<void> {
    const { own, settings } = this
    const admit = (key: KnownAccessKey): Promise<void> => this.admit(request, key)
    const request = new SignedRequest<R>(exchange, own.serviceOf(exchange), settings.clock.wallMs(), admit)
    try {
      await exchange.respond(await this.answer(request))
    } catch (error) {
      const failure = answerable(exchange, error)
      const shown = own.errorOf(failure, request)
      request.failure = failure
      this.refusals.note(exchange, failure, shown, () => request.denied(shown))
      await exchange.respond(own.errorAnswer(shown, request))
    }
  }

  refuse({ requestId, failure, status, target }: Refusal): PlainAnswer {
    const place: FailedRequest<R> = {
      exchange: undefined,
      requestId,
      rawTarget: target,
      route: undefined,
      isKnown: false,
    }
    const shown = this.own.errorOf(failure, place)
    return this.own.errorAnswer(status === undefined ? shown : { ...shown, status }, place)
  }

  /** Requests that wait for something to change are answered that nothing has. */
  stop(): void {
    this.polls.stop()
  }

  private async answer(request: SignedRequest<R>): Promise<HttpAnswer> {
    const { own } = this
    const { exchange, nowMs } = request
    const body = await this.bodyOf(exchange)
    const route = this.route(request, body)
    const sender = await exchange.timing.measure("auth", () => this.senderOf(request, body))
    request.isKnown = true
    if (route instanceof Failure) throw route
    const letInTo: AdmittedRequest<R, Guest>["letInTo"] = bucket => {
      request.admitted = bucket
      exchange.countIn(this.meters.ofBucket(bucket.name))
    }
    const until = this.untilFor(sender, exchange)
    return own.perform({ exchange, nowMs, route, body, sender: sender.signer ?? sender.guest, until, letInTo })
  }

  private untilFor(sender: Sender<Guest>, exchange: Exchange): SenderUntil {
    return (watcher, seconds, look, isStillOpen = () => true) => {
      const isStillAllowed = () => after(this.isStillLetIn(sender, exchange), isLetIn => isLetIn && isStillOpen())
      return this.polls.until(exchange, { watcher, seconds, isStillAllowed }, look)
    }
  }

  private isStillLetIn({ signer, guest }: Sender<Guest>, exchange: Exchange): Soon<boolean> {
    const { own, gate, settings } = this
    if (signer !== undefined) return gate.isUnchanged(signer, settings.clock.wallMs())
    return own.isStillGuest?.(guest, exchange) ?? true
  }

  private async bodyOf(exchange: Exchange): Promise<Uint8Array> {
    const bytesMax = this.own.bodyBytesMax?.(exchange)
    return bytesMax === undefined ? NO_BODY : readBody(exchange, bytesMax)
  }

  /** The route, or the failure that waits until the sender is known. */
  private route(request: SignedRequest<R>, body: Uint8Array): R | Failure {
    const { exchange, service } = request
    try {
      const route = (request.route = this.own.route(exchange, body))
      if (route.operation !== "") exchange.note({ operation: `${service}:${route.operation}` })
      return route
    } catch (error) {
      if (this.own.routesStrangers === true || !isFailure(error)) throw error
      return error
    }
  }

  private async senderOf(request: SignedRequest<R>, body: Uint8Array): Promise<Sender<Guest>> {
    const { own } = this
    const { exchange, service, nowMs } = request
    const asking: Asking<R> = request
    if (own.isSigned?.(exchange) === false) return { signer: undefined, guest: await own.guestOf(asking) }
    const rules = { service, region: own.region, ...(own.bodyBytesMax && { bodySha256: sha256Hex(body) }) }
    const { trace } = exchange
    const reading = () =>
      after(this.gate.callerOf(exchange, rules, nowMs), async signer => {
        if (signer !== undefined) await this.admit(request, signer.key)
        return signer
      })
    const signer = await (trace === undefined ? reading() : traced(trace, "authenticate", {}, reading))
    return signer === undefined ? { signer, guest: await own.guestOf(asking) } : { signer }
  }

  /** The key has proved itself, by its signature or otherwise. Throws `rateExceeded`. */
  private async admit(request: SignedRequest<R>, key: KnownAccessKey): Promise<void> {
    const { exchange } = request
    request.key = key
    exchange.note({ accessKeyId: key.id })
    this.meters.proved(exchange, key.account.id)
    await this.settings.rates.enter(key.limited, exchange)
  }
}
