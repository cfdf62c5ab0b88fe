/**
 * The contract of a signed protocol: what is its own. The frame does the rest, in one order for all of them.
 *
 *   body          that the signature covers, unless the protocol checks it as it reads it
 *   route         the operation, and its input
 *   signature     who sends the request, whom its limits let in
 *   perform       what the operation needs, permissions first
 *   error         the answer to a failure of any of these
 */
import type { Denials, Keyring, KnownAccessKey, ProvesSecrets, RateLimiter } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { AccountId, BucketName } from "@hayloft/base/ids.js"
import type { Exchange, HttpAnswer, PlainAnswer } from "../http/index.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { SignedCaller } from "./key-gate.js"

/** The settings of every signed protocol. */
export interface FrameSettings {
  readonly accounts: Keyring
  readonly clock: Clock
  readonly metrics: Metrics
  /** Records denied requests, so that the operator can have them explained. */
  readonly denials: Pick<Denials, "note">
  /** Applies the limits of accounts and keys. */
  readonly rates: Pick<RateLimiter, "enter">
  /** Limits attempts with a wrong secret. */
  readonly attempts: ProvesSecrets
}

/** The operation of a request, before it is known who sends it. */
export interface Route {
  /** Empty if there is no such operation. It is a label of metrics: never a text of the client's own. */
  readonly operation: string
  /** The bucket that it names, if it names one. */
  readonly bucket?: string | undefined
}

/** A request as far as it is known. */
export interface Asking<R extends Route> {
  readonly exchange: Exchange
  /** When it arrived. */
  readonly nowMs: number
  /** It is undefined before the request has been read, and if it cannot be. */
  readonly route: R | undefined
  /** It is known who sends the request. */
  readonly isKnown: boolean
  /** Lets in the owner of a key without a signature. Throws `rateExceeded`. */
  readonly admit: (key: KnownAccessKey) => Promise<void>
}

/** A request whose sender is known. */
export interface AdmittedRequest<R extends Route, Guest> {
  readonly exchange: Exchange
  readonly nowMs: number
  readonly route: R
  /** Empty if the protocol reads bodies itself. */
  readonly body: Uint8Array
  readonly sender: SignedCaller | Guest
  /** Waits for as long as the sender has the rights that it came with, and `isStillOpen`, if given, says that what it uses has. */
  readonly until: SenderUntil
  /** The sender was let in to the bucket, which counts the request. */
  readonly letInTo: (bucket: RequestedBucket) => void
}

export type SenderUntil = <T>(
  watcher: Watcher,
  seconds: number,
  look: () => Soon<T | undefined>,
  isStillOpen?: () => Soon<boolean>,
) => Promise<T | undefined>

interface RequestedBucket {
  readonly name: BucketName
  readonly owner: AccountId
}

/** The request that a failure is answered to. `exchange` is undefined for a request that could not be read as one of HTTP. */
export interface FailedRequest<R extends Route> {
  readonly exchange: Exchange | undefined
  readonly requestId: string
  readonly rawTarget: string
  readonly route: R | undefined
  readonly isKnown: boolean
}

export interface ErrorShown {
  readonly status: number
  readonly code: string
}

/** `Guest`: who may send requests that are not signed. */
export interface SignedProtocol<R extends Route, Shown extends ErrorShown, Guest = never> {
  /** The service that a request must be signed for: the first part of actions in policies. */
  serviceOf(exchange: Exchange): string
  /** The region that requests must be signed for. If it is undefined, any region is accepted. */
  readonly region: string | undefined
  /** The limit of a body that arrives before its signature is checked. If absent, `perform` reads bodies, and checks them. */
  bodyBytesMax?(exchange: Exchange): number
  /** Strangers learn what is wrong with the target, as from S3. Otherwise they learn only that they need a signature. */
  readonly routesStrangers?: true
  /** Throws the failure of a request that leads nowhere. */
  route(exchange: Exchange, body: Uint8Array): R
  /** Returns true if a request is to be read as a signed one. If absent, each is. */
  isSigned?(exchange: Exchange): boolean
  /** Returns who sends a request without a signature. Throws the failure that asks for one. */
  guestOf(asking: Asking<R>): Guest | Promise<Guest>
  /** Returns false if the rights of a guest who waits have changed. If absent, they never do. */
  isStillGuest?(guest: Guest, exchange: Exchange): Promise<boolean>
  perform(admitted: AdmittedRequest<R, Guest>): Promise<HttpAnswer>
  errorOf(failure: Failure, place: FailedRequest<R>): Shown
  errorAnswer(error: Shown, place: FailedRequest<R>): PlainAnswer
}
