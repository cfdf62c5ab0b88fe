/**
 * Signing in to Swift: an access key and its secret become a token, as with TempAuth, and a token becomes a caller.
 *
 * A user of TempAuth is `ACCOUNT:ACCESS-KEY-ID`, or the id alone, and its key is the secret. Tokens are not stored
 * (`format/swift-token`): one ends with its time, or with its key, on every node at once.
 *
 * Promises  Requests within the same hour of the clock get the same token, as long as the key stays. A token that was
 *           issued while the clock was ahead ends once it is set right.
 * Refuses   Temporary credentials: their session token is no part of TempAuth.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import type { Keyring, KnownAccessKey } from "@hayloft/access/contract.js"
import { isIssuedAhead, type SecretAttempts } from "@hayloft/access/index.js"
import { fail, unlessRefused } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccessKeyId } from "@hayloft/base/ids.js"
import type { Exchange } from "../http/index.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { encodeSwiftToken, readSwiftToken } from "@hayloft/engine/format/swift/swift-token.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { ACCOUNT_PREFIX } from "./target-core.js"

/** A token lives at least so long. */
const TOKEN_SECONDS = 86_400
const ISSUED_EVERY_SECONDS = 3600
const SERVICE = "swift"

export interface SignedIn {
  readonly token: string
  readonly expiresInSeconds: number
  /** Path of the account, without a host. */
  readonly storagePath: string
}

/** The digests are of equal length, so that the comparison takes as long for every text. */
const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest()

export class SwiftSignIn {
  constructor(
    private readonly accounts: Pick<Keyring, "secretOf" | "knownSecret" | "noteUse">,
    private readonly attempts: Pick<SecretAttempts, "signIn">,
    private readonly clock: Clock,
    private readonly region: string,
  ) {}

  /** `account`: as the path names it, if it does. Throws `accessDenied`, `invalidAccessKey`, `rateExceeded`. */
  async signIn(exchange: Exchange, account: string | undefined): Promise<SignedIn> {
    const { headers, remoteAddress: address, requestId } = exchange
    const user = headers.get("x-auth-user") ?? headers.get("x-storage-user") ?? ""
    const secret = headers.get("x-auth-key") ?? headers.get("x-storage-pass") ?? ""
    const colon = user.indexOf(":")
    const [named, id] = colon < 0 ? [account, user] : [user.slice(0, colon), user.slice(colon + 1)]
    const accessKeyId = unlessRefused(() => parseAccessKeyId(id))
    const nowMs = this.clock.wallMs()
    const known = accessKeyId && (await this.keyOf(accessKeyId, nowMs))
    const key = await this.attempts.signIn({ address, requestId, id: known?.id, operation: "swift:SignIn" }, () => {
      if (known === undefined || !timingSafeEqual(digestOf(known.secret), digestOf(secret))) throw unknownUser(id)
      if (named !== undefined && !isNamed(known, named)) throw unknownUser(id)
      return known
    })
    if (key.session !== undefined) {
      const message = "temporary credentials cannot sign in to Swift: use an access key of a user"
      throw fail("accessDenied", { message })
    }
    const nowSeconds = Math.floor(nowMs / 1000)
    const expiresSeconds =
      Math.floor(nowSeconds / ISSUED_EVERY_SECONDS) * ISSUED_EVERY_SECONDS + ISSUED_EVERY_SECONDS + TOKEN_SECONDS
    return {
      token: encodeSwiftToken({ accessKeyId: key.id, expiresSeconds }, key.secret),
      expiresInSeconds: expiresSeconds - nowSeconds,
      storagePath: `/v1/${ACCOUNT_PREFIX}${key.account.number}`,
    }
  }

  /** Throws `invalidToken`, `tokenExpired`. */
  keyOfToken(text: string): Soon<KnownAccessKey> {
    const nowMs = this.clock.wallMs()
    const claimed = readSwiftToken(text)
    if (claimed === undefined) throw fail("invalidToken", { message: "the token is not one of this store" })
    return after(this.keyOf(claimed.accessKeyId, nowMs), key => {
      if (key === undefined || !claimed.isMadeWith(key.secret))
        throw fail("invalidToken", { accessKeyId: claimed.accessKeyId, message: "the token, or its key, is not valid" })
      if (isOver(claimed.expiresSeconds, nowMs))
        throw fail("tokenExpired", { accessKeyId: claimed.accessKeyId, message: "the token has expired" })
      this.accounts.noteUse(key, nowMs, SERVICE, this.region)
      return key
    })
  }

  /** Returns the key of the user that the token claims to be, if the key is known already. Unverified. */
  claimedKey(text: string): KnownAccessKey | undefined {
    const claimed = readSwiftToken(text)
    return claimed && this.accounts.knownSecret(claimed.accessKeyId, undefined, this.clock.wallMs())
  }

  private keyOf(id: AccessKeyId, nowMs: number): Soon<KnownAccessKey | undefined> {
    return this.accounts.secretOf(id, undefined, nowMs)
  }
}

const isOver = (expiresSeconds: number, nowMs: number): boolean =>
  expiresSeconds * 1000 <= nowMs || isIssuedAhead((expiresSeconds - TOKEN_SECONDS - ISSUED_EVERY_SECONDS) * 1000, nowMs)

const isNamed = ({ account }: KnownAccessKey, name: string): boolean =>
  [account.number, account.id, `${ACCOUNT_PREFIX}${account.number}`].some(known => known === name)

const unknownUser = (id: string) =>
  fail("invalidAccessKey", { accessKeyId: id.slice(0, 80), message: "the user or its key is not valid" })

/** Returns true if a token claims to be one of this store. */
export const isOwnToken = (text: string): boolean => readSwiftToken(text) !== undefined
