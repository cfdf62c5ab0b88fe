/**
 * The gate for signatures of every protocol: who has signed a request, and proves it.
 *
 * Promises  A key whose owner has proved to have its secret is noted as used, also if the request is refused later.
 */
import {
  claimedKey,
  hasSameRights,
  receivedRequest,
  SignatureVerifier,
  type Keyring,
  type KnownAccessKey,
  type ProvesSecrets,
  type SignatureRules,
  type VerifiedRequest,
} from "@hayloft/access/index.js"
import { fail, unlessFails, unlessRefused } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccessKeyId } from "@hayloft/base/ids.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import type { Exchange } from "../http/index.js"

interface Sources {
  readonly accounts: Pick<Keyring, "secretOf" | "noteUse">
  readonly attempts: ProvesSecrets
}

/** The key that a request claims to be signed with. */
interface Claim {
  readonly accessKeyId: AccessKeyId
  readonly token: string | undefined
}

/** The address from which a request comes, and the time at which it arrived. */
export interface Arrival {
  readonly address: string
  readonly nowMs: number
}

/** The use of a key, as its owner sees it. `region`: undefined for that of the verified request. */
interface Use {
  readonly service: string
  readonly region: string | undefined
}

/** A key that there is, and as which its owner claimed it. */
export interface ClaimedKey {
  readonly claim: Claim
  readonly key: KnownAccessKey
}

export interface SignedCaller extends ClaimedKey {
  readonly verified: VerifiedRequest
  /** The region that the signature names. */
  readonly signedRegion: string
}

export class KeyGate {
  readonly verifier = new SignatureVerifier()

  constructor(private readonly sources: Sources) {}

  /** Throws `invalidAccessKey`, `invalidToken`, `tokenExpired`. */
  keyOf({ accessKeyId, token }: Claim, nowMs: number): Soon<KnownAccessKey> {
    return after(this.sources.accounts.secretOf(accessKeyId, token, nowMs), key => {
      if (key === undefined) throw fail("invalidAccessKey", { accessKeyId })
      return key
    })
  }

  /** The request of a caller who proves to have the key. Throws as `prove`, and `rateExceeded` after wrong attempts. */
  proved(key: KnownAccessKey, { address, nowMs }: Arrival, use: Use, prove: () => VerifiedRequest): VerifiedRequest {
    const verified = this.sources.attempts.attempt({ address, id: key.id }, prove)
    this.sources.accounts.noteUse(key, nowMs, use.service, use.region ?? verified.region)
    return verified
  }

  /** Returns undefined if nothing looks like a signature. Throws as `SignatureVerifier`, `keyOf` and `proved`. */
  callerOf(exchange: Exchange, rules: SignatureRules, nowMs: number): Soon<SignedCaller | undefined> {
    const claim = this.verifier.read(receivedRequest(exchange), rules, nowMs)
    if (claim.kind === "anonymous") return undefined
    const { signedRegion } = claim
    const use = { service: rules.service, region: rules.region === undefined ? signedRegion : undefined }
    const arrival = { address: exchange.remoteAddress, nowMs }
    return after(this.keyOf(claim, nowMs), key => {
      const verified = this.proved(key, arrival, use, () => this.verifier.verify(claim, key.secret))
      return { claim, key, verified, signedRegion }
    })
  }

  /**
   * Returns true if a caller who was let in with the key is let in with it now, and has the same rights. Every change that
   * was acknowledged before this call counts.
   */
  async isUnchanged({ claim, key }: ClaimedKey, nowMs: number): Promise<boolean> {
    const { accessKeyId, token } = claim
    const { accounts } = this.sources
    const known = asPromise(() => accounts.secretOf(accessKeyId, token, nowMs))
    const now = await unlessFails(known, "invalidToken", "tokenExpired")
    return now !== undefined && hasSameRights(key, now)
  }
}

/** The account that the head of a request names, unverified, if its key is known already: see `Protocol.accountOf`. */
export function claimedAccount(
  accounts: Pick<Keyring, "knownSecret">,
  { rawTarget, headers }: Pick<Exchange, "rawTarget" | "headers">,
  nowMs: number,
): string | undefined {
  const id = unlessRefused(() => {
    const text = claimedKey(headers.get("authorization"), rawTarget)
    return text === undefined ? undefined : parseAccessKeyId(text)
  })
  return id && accounts.knownSecret(id, headers.get("x-amz-security-token"), nowMs)?.account.id
}
