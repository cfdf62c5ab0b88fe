/**
 * Sessions of browsers with the admin port. All of a session is in its cookie, sealed: any node accepts what another one
 * has issued, and no server remembers clients.
 *
 * Promises  A session ends when it was not used for `idleMs`, and after `wholeMs` in any case; at once, on every node, when
 *           it is signed out, and when the key, token or role that it rests on is disabled, deleted, expires, or gets
 *           another secret; also when the clock that issued it was ahead, and is set right. While the store cannot tell
 *           whether it was signed out, it is refused with the reason. A cookie contains no secret, only hashes, and those
 *           sealed.
 * Limits    `CONSOLE_LIMITS`; sessions that were signed out are rows (`sign-outs-core.ts`), which are bounded and cached.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccessKeyId } from "@hayloft/base/ids.js"
import { hexOf } from "@hayloft/base/bytes.js"
import {
  decodeConsoleSession,
  decodeSignInState,
  encodeConsoleSession,
  encodeSignInState,
} from "@hayloft/engine/format/accounts/console-session.js"
import type {
  ConsoleSession,
  SessionBasis,
  SignInState,
  SignOuts,
} from "@hayloft/engine/format/accounts/console-session.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { isAdminToken, type AdminTokens, type ShownAdminToken } from "./admin-tokens.js"
import type { Keyring, KnownAccessKey } from "../contract.js"
import type { Directory } from "../accounts/directory.js"
import { DirectoryCache } from "../accounts/directory-cache.js"
import type { MasterKeys } from "../secrets/master-keys.js"
import { SealedTexts, type SealedKind } from "../secrets/sealed-texts.js"
import { isSameMark, markOf } from "../secrets/secret-marks.js"
import { isSignedOut, readSignOuts, signOut } from "./sign-outs-core.js"
import { equalInConstantTime, sha256Hex } from "../signing/canonical.js"
import { isIssuedAhead } from "../signing/skew.js"

const MINUTE_MS = 60_000

const CONSOLE_LIMITS = {
  idleMs: 30 * MINUTE_MS,
  wholeMs: 8 * 60 * MINUTE_MS,
  /** The cookie is written again after so long, to note its use. */
  renewMs: MINUTE_MS,
  /** Browsers refuse cookies of more than 4,096 with name and attributes. */
  cookieCharactersMax: 3_800,
  /** A browser has so long at the provider of OpenID Connect. */
  signInMs: 10 * MINUTE_MS,
  /** Clocks of nodes may differ by so much. */
  skewMs: 60 * MINUTE_MS,
} as const

const ID_BYTES = 16
const CSRF_BYTES = 24
const HOLDERS_MAX = 1_000
/** The text takes the place of the id of the operator's token, which has none. */
const OPERATOR = "operator"

const COOKIES: SealedKind<ConsoleSession> = {
  purpose: "console session",
  beginning: "HLC1.",
  charactersMax: CONSOLE_LIMITS.cookieCharactersMax,
  encode: encodeConsoleSession,
  decode: decodeConsoleSession,
}

const SIGN_INS: SealedKind<SignInState> = {
  purpose: "console sign-in",
  beginning: "HLS1.",
  charactersMax: CONSOLE_LIMITS.cookieCharactersMax,
  encode: encodeSignInState,
  decode: decodeSignInState,
}

/** The caller of a request: the operator, a token with scopes, or the holder of an account's key or of temporary credentials. */
export type ConsoleHolder =
  | { readonly kind: "operator" }
  | { readonly kind: "token"; readonly token: ShownAdminToken }
  /** `sessionToken`: that of temporary credentials. */
  | { readonly kind: "principal"; readonly key: KnownAccessKey; readonly sessionToken: string | undefined }

/** A holder whose token is still to be proved. */
interface ClaimedHolder {
  /** The id of the token; it is undefined if the token does not exist, or is not valid any more. */
  readonly id: string | undefined
  /** Returns undefined if the token is not valid. */
  prove(): ConsoleHolder | undefined
}

export interface OpenSession {
  readonly session: ConsoleSession
  readonly holder: ConsoleHolder
}

/** The input of somebody who signs in with a key; `token` is that of temporary credentials. */
interface KeyCredentials {
  readonly accessKeyId: string
  readonly secret: string
  readonly token?: string | undefined
}

interface Seams {
  readonly clock: Pick<Clock, "wallMs">
  readonly random: Random
  readonly masterKeys: MasterKeys
}

interface Sources {
  readonly directory: Directory
  readonly accounts: Pick<Keyring, "secretOf" | "noteUse">
  readonly tokens: Pick<AdminTokens, "named" | "find">
  /** The operator's token in the data folders. */
  readonly operatorToken: string
  /** Resolves once the devices refuse releases that do not know sign-outs. */
  readonly prepare: () => Promise<void>
  /** The time by which sessions have ended permanently: a wall clock that is ahead for a while ends none. Undefined: none has. */
  readonly dueTimeMs: () => number | undefined
}

export class ConsoleSessions {
  private readonly clock: Seams["clock"]
  private readonly random: Random
  private readonly cookies: SealedTexts<ConsoleSession>
  private readonly signIns: SealedTexts<SignInState>
  private readonly signOuts: DirectoryCache<string, SignOuts>
  private readonly operatorMark: Uint8Array
  private readonly operatorHash: string

  constructor(
    { clock, random, masterKeys }: Seams,
    private readonly sources: Sources,
  ) {
    this.clock = clock
    this.random = random.fork("console sessions")
    this.cookies = new SealedTexts(COOKIES, masterKeys, random)
    this.signIns = new SealedTexts(SIGN_INS, masterKeys, random)
    this.signOuts = new DirectoryCache(sources.directory, HOLDERS_MAX)
    this.operatorMark = markOf("console session", sources.operatorToken)
    this.operatorHash = sha256Hex(sources.operatorToken)
  }

  /** The holder that a bearer token claims. */
  async claimed(text: string): Promise<ClaimedHolder> {
    // Hashes are compared, so that timing does not reveal even the length of the token.
    if (equalInConstantTime(sha256Hex(text), this.operatorHash))
      return { id: OPERATOR, prove: () => ({ kind: "operator" }) }
    const named = await this.sources.tokens.named(text)
    if (named === undefined) return { id: isAdminToken(text) ? undefined : OPERATOR, prove: () => undefined }
    const prove = (): ConsoleHolder | undefined => {
      const token = named.prove()
      return token && { kind: "token", token }
    }
    return { id: named.id, prove }
  }

  /** Returns undefined if the token is not valid. */
  async beginByToken(text: string): Promise<OpenSession | undefined> {
    const holder = (await this.claimed(text)).prove()
    if (holder === undefined) return undefined
    const basis: SessionBasis =
      holder.kind === "token" ? { kind: "token", id: holder.token.id } : { kind: "operator", mark: this.operatorMark }
    return this.begin(basis, holder)
  }

  /** Returns undefined if the credentials are not valid, for whatever reason. */
  async beginByKey({ accessKeyId, secret, token }: KeyCredentials): Promise<OpenSession | undefined> {
    const id = idOf(accessKeyId)
    const key = id && (await this.keyOf(id, token))
    // Something is always compared: an unknown key takes as long as a wrong secret.
    const isRight = equalInConstantTime(sha256Hex(secret), sha256Hex(key?.secret ?? ""))
    if (key === undefined || !isRight) return undefined
    const basis = {
      kind: "key",
      id: key.id,
      mark: markOf("console session", key.secret),
      userId: key.principal.userId,
      token,
    } as const
    return this.begin(basis, this.used(key, token))
  }

  private begin(basis: SessionBasis, holder: ConsoleHolder): OpenSession {
    const issuedMs = this.clock.wallMs()
    const id = hexOf(this.random.bytes(ID_BYTES))
    const csrf = Buffer.from(this.random.bytes(CSRF_BYTES)).toString("base64url")
    const expiresMs = Math.min(issuedMs + CONSOLE_LIMITS.wholeMs, endOf(holder) ?? Infinity)
    return { session: { id, csrf, issuedMs, seenMs: issuedMs, expiresMs, basis }, holder }
  }

  /** Returns undefined if a browser would not keep the cookie: the credentials are too long. */
  cookieOf(session: ConsoleSession): string | undefined {
    const text = this.cookies.seal(session)
    return text.length > CONSOLE_LIMITS.cookieCharactersMax ? undefined : text
  }

  /** The cookie to write instead, if its last use was a while ago. */
  renewed(session: ConsoleSession): string | undefined {
    const nowMs = this.clock.wallMs()
    return nowMs < session.seenMs + CONSOLE_LIMITS.renewMs ? undefined : this.cookieOf({ ...session, seenMs: nowMs })
  }

  /** When it ends unless it is used. */
  idleEndOf({ seenMs, expiresMs }: ConsoleSession): number {
    return Math.min(seenMs + CONSOLE_LIMITS.idleMs, expiresMs)
  }

  cookieOfSignIn(state: Omit<SignInState, "issuedMs">): string {
    return this.signIns.seal({ ...state, issuedMs: this.clock.wallMs() })
  }

  /** Returns undefined if the cookie is too old, or not of this store. */
  signInOf(cookie: string): SignInState | undefined {
    const state = this.signIns.open(cookie)
    if (state === undefined || this.isAhead(state)) return undefined
    return this.clock.wallMs() < state.issuedMs + CONSOLE_LIMITS.signInMs ? state : undefined
  }

  /**
   * Returns undefined if the session has ended, or is not one of this store. Throws what reading the metadata throws.
   */
  async of(cookie: string): Promise<OpenSession | undefined> {
    const session = this.cookies.open(cookie)
    if (session === undefined || this.isAhead(session) || this.clock.wallMs() >= this.idleEndOf(session))
      return undefined
    const holder = await this.holderOf(session.basis)
    if (holder === undefined || (await this.isSignedOut(session))) return undefined
    return { session, holder }
  }

  private isAhead({ issuedMs }: Pick<ConsoleSession, "issuedMs">): boolean {
    return isIssuedAhead(issuedMs, this.clock.wallMs(), CONSOLE_LIMITS.skewMs)
  }

  /** No node accepts the session any more, once this has resolved. */
  async end(session: ConsoleSession): Promise<void> {
    await this.sources.prepare()
    // How long a session may live, and a margin for clocks that differ.
    const lifeMs = CONSOLE_LIMITS.wholeMs + CONSOLE_LIMITS.skewMs
    const times = { nowMs: this.clock.wallMs(), issuedFromMs: (this.sources.dueTimeMs() ?? 0) - lifeMs }
    const { id, issuedMs, basis } = session
    await this.sources.directory.change(signOut(holderNameOf(basis), { id, issuedMs }, times))
  }

  private async isSignedOut(session: ConsoleSession): Promise<boolean> {
    const { directory } = this.sources
    await directory.confirm()
    const holder = holderNameOf(session.basis)
    const known = this.signOuts.get(holder)
    if (known !== undefined) return isSignedOut(known, session)
    const { generation } = directory
    const found = await directory.ask(readSignOuts(holder))
    this.signOuts.keep(holder, found, generation)
    return isSignedOut(found, session)
  }

  private async holderOf(basis: SessionBasis): Promise<ConsoleHolder | undefined> {
    switch (basis.kind) {
      case "operator":
        return isSameMark(basis.mark, this.operatorMark) ? { kind: "operator" } : undefined
      case "token": {
        const token = await this.sources.tokens.find(basis.id)
        return token && { kind: "token", token }
      }
      case "key": {
        const key = await this.keyOf(basis.id, basis.token)
        if (key?.principal.userId !== basis.userId) return undefined
        return isSameMark(basis.mark, markOf("console session", key.secret)) ? this.used(key, basis.token) : undefined
      }
    }
  }

  private used(key: KnownAccessKey, sessionToken: string | undefined): ConsoleHolder {
    this.sources.accounts.noteUse(key, this.clock.wallMs(), "admin", "")
    return { kind: "principal", key, sessionToken }
  }

  private async keyOf(id: AccessKeyId, token: string | undefined): Promise<KnownAccessKey | undefined> {
    try {
      return await this.sources.accounts.secretOf(id, token, this.clock.wallMs())
    } catch (error) {
      if (isFailure(error, "invalidToken", "tokenExpired")) return undefined
      throw error
    }
  }
}

function idOf(text: string): AccessKeyId | undefined {
  try {
    return parseAccessKeyId(text)
  } catch (error) {
    if (isFailure(error, "invalidArgument")) return undefined
    throw error
  }
}

const endOf = (holder: ConsoleHolder): number | undefined => {
  switch (holder.kind) {
    case "operator":
      return undefined
    case "token":
      return holder.token.expiresMs
    case "principal":
      return holder.key.expiresMs
  }
}

/** By which sign-outs are kept. */
const holderNameOf = (basis: SessionBasis): string =>
  basis.kind === "operator" ? basis.kind : `${basis.kind} ${basis.id}`
