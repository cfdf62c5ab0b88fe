/**
 * Signed callers: who has signed a request of one of the smaller protocols, and what operators learn if it is refused.
 *
 * Promises  A caller that is returned has proved its key, is charged for the load, and was let in by its limits.
 */
import { fail, type Failure } from "../base/failures.js"
import type { RequestHeaders } from "../base/request-headers.js"
import type { Keyring, KnownKey } from "./contract.js"
import type { Denials } from "./denials/denials.js"
import { DeniedAccess } from "./policy/denied-access.js"
import { sentenceOfDecision } from "./policy/explain.js"
import type { RateLimiter } from "./rates/rate-limiter.js"
import type { ProvesSecrets } from "./secret-attempts.js"
import { claimedKey, receivedRequest, SignatureVerifier, type SignatureRules, type VerifiedRequest } from "./sigv4.js"

const DENIED_STATUS = 403
const INTERNAL_STATUS = 500

/** The parts of an exchange that are needed. */
type SignedExchange = Parameters<RateLimiter["enter"]>[1] & {
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  readonly remoteAddress: string
  header(name: string): string | undefined
  note(fields: Readonly<Record<string, string>>): void
  about(subject: { readonly accountId: string }): void
  proveAccount(): void
}

interface Seams {
  readonly accounts: Keyring
  readonly rates: Pick<RateLimiter, "enter">
  readonly attempts: ProvesSecrets
  readonly denials: Denials
}

export interface SignedCaller {
  readonly key: KnownKey
  readonly verified: VerifiedRequest
  /** As the signature names it. */
  readonly signedRegion: string
}

/** A request that was refused. */
interface RefusedRequest {
  readonly service: string
  /** Empty if it is not known. */
  readonly operation: string
  readonly nowMs: number
  readonly key: KnownKey | undefined
  readonly answer: { readonly status: number; readonly code: string }
}

export class SignedCallers {
  private readonly verifier = new SignatureVerifier()

  constructor(private readonly seams: Seams) {}

  /**
   * Returns undefined if nothing looks like a signature. `onKey` is called once the key is known. Throws as
   * `SignatureVerifier`, `invalidAccessKey`, `rateExceeded`.
   */
  async admit(
    exchange: SignedExchange,
    rules: SignatureRules,
    nowMs: number,
    onKey: (key: KnownKey) => void,
  ): Promise<SignedCaller | undefined> {
    const { accounts, attempts, rates } = this.seams
    const claim = this.verifier.read(receivedRequest(exchange), rules, nowMs)
    if (claim.kind === "anonymous") return undefined
    const key = await accounts.secretOf(claim.accessKeyId, claim.token, nowMs)
    if (key === undefined) throw fail("invalidAccessKey", { accessKeyId: claim.accessKeyId })
    const by = { address: exchange.remoteAddress, id: key.id }
    const verified = attempts.attempt(by, () => this.verifier.verify(claim, key.secret))
    onKey(key)
    exchange.note({ accessKeyId: key.id })
    exchange.about({ accountId: key.account.id })
    exchange.proveAccount()
    await rates.enter(key.limited, exchange)
    const { signedRegion } = claim
    accounts.noteUse(key, nowMs, rules.service, rules.region === undefined ? signedRegion : verified.region)
    return { key, verified, signedRegion }
  }

  /**
   * Notes in the log why the request failed, with details of internal errors and of the denying statement, which the
   * client does not get. Records a denial, so that the operator can have it explained.
   */
  noteRefusal(
    exchange: SignedExchange,
    { service, operation, nowMs, key, answer }: RefusedRequest,
    failure: Failure,
  ): void {
    const { status, code } = answer
    const reason = reasonOf(failure, status)
    exchange.note({ failure: code, ...(reason !== undefined && { kind: failure.kind, reason }) })
    if (status !== DENIED_STATUS && failure.remedy !== "signIn") return
    const { requestId, remoteAddress } = exchange
    const denied = {
      ...{ requestId, deniedMs: nowMs, service, operation, status, code, remoteAddress },
      ...{ accessKeyId: key?.id ?? claimedKey(exchange.header("authorization"), exchange.rawTarget) },
      ...{ principal: key?.principal, action: operation && `${service}:${operation}`, resource: undefined },
    }
    this.seams.denials.note(denied, failure)
  }
}

function reasonOf(failure: Failure, status: number): string | undefined {
  if (failure instanceof DeniedAccess) return sentenceOfDecision(failure.decision)
  const { reason } = failure.details
  if (reason !== undefined) return String(reason)
  return status >= INTERNAL_STATUS ? failure.message : undefined
}
