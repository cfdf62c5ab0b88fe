/**
 * Sign-in of people at one provider of OpenID Connect: the authorization code flow with PKCE, after which they act as the
 * first configured role whose trust policy admits them.
 *
 * Promises  The answer of the provider counts only in the browser that began (`state`), only for what it began (`nonce`,
 *           PKCE), and only if its token was issued to this client. The token is verified as that of any web identity
 *           (`web-identities.ts`): the provider must be registered in the account of the role. Policies decide the rest.
 * Limits    `EXCHANGES_MAX` exchanges at a time, each with a document of `ANSWER.bytesMax` within `ANSWER.timeoutMs`.
 * Sources   OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (`iss` of the response); RFC 6749, 2.3.1.
 */
import { decodeJwt } from "jose"
import {
  equalInConstantTime,
  parseIdentityArn,
  sha256Hex,
  type Accounts,
  type Identities,
  type IssuedSession,
  type RequestContext,
  type Sessions,
} from "@hayloft/access/index.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { limited } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Web, WebServices } from "@hayloft/base/seams/web/contract.js"
import { ProviderKeys, type SignInEndpoints } from "./provider-keys.js"
import { WebIdentities } from "./web-identities.js"
import { jsonMember } from "@hayloft/base/json.js"

const ANSWER = { bytesMax: 256 * KIB, timeoutMs: 10_000 } as const
const EXCHANGES_MAX = 16
/** 32 bytes: 43 characters, the least that PKCE accepts. */
const SECRET_BYTES = 32
const SESSION_SECONDS_MAX = 8 * 3_600
const NAME_CHARACTERS = { least: 2, most: 64 } as const

interface SignInSettings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly roles: readonly string[]
  readonly scopes: string
}

interface Parts {
  readonly accounts: Accounts
  readonly identities: Identities
  readonly sessions: Pick<Sessions, "assumeByWeb">
  readonly web: Web & WebServices
  readonly clock: Pick<Clock, "alarm">
  readonly random: Random
}

/** The state that the browser keeps meanwhile, sealed. */
interface SignInState {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly redirectUri: string
}

export class ProviderSignIn {
  private readonly keys: ProviderKeys
  private readonly webIdentities: WebIdentities
  private readonly random: Random
  private exchanges = 0

  constructor(
    private readonly settings: SignInSettings,
    private readonly parts: Parts,
  ) {
    const { web, accounts, identities, random } = parts
    this.keys = new ProviderKeys(web)
    this.webIdentities = new WebIdentities(web, accounts, identities)
    this.random = random.fork("sign-in by a provider")
  }

  get issuer(): string {
    return this.settings.issuer
  }

  /** Returns where to send the browser. Throws `providerUnreachable`. */
  async begin(redirectUri: string, nowMs: number): Promise<{ readonly location: string; readonly state: SignInState }> {
    const { issuer, clientId, scopes } = this.settings
    const { authorization } = await this.keys.endpointsOf(issuer, nowMs)
    const [state, nonce, verifier] = [this.secret(), this.secret(), this.secret()]
    const location = new URL(authorization)
    for (const [name, value] of [
      ["response_type", "code"] as const,
      ["client_id", clientId] as const,
      ["redirect_uri", redirectUri] as const,
      ["scope", scopes] as const,
      ["state", state] as const,
      ["nonce", nonce] as const,
      ["code_challenge", challengeOf(verifier)] as const,
      ["code_challenge_method", "S256"] as const,
    ])
      location.searchParams.set(name, value)
    return { location: location.href, state: { state, nonce, verifier, redirectUri } }
  }

  private secret(): string {
    return Buffer.from(this.random.bytes(SECRET_BYTES)).toString("base64url")
  }

  /** Throws `accessDenied`, `invalidIdentityToken`, `tokenExpired`, `providerUnreachable`, `tooManyInFlight`. */
  async end(
    begun: SignInState,
    query: ReadonlyMap<string, string>,
    nowMs: number,
    context: RequestContext,
  ): Promise<IssuedSession> {
    const { issuer } = this.settings
    if (!equalInConstantTime(query.get("state") ?? "", begun.state)) {
      throw refuse("this browser began another sign-in than the one that the provider answers")
    }
    if ((query.get("iss") ?? issuer) !== issuer) throw refuse("another provider has answered")
    const error = query.get("error")
    if (error !== undefined) throw fail("accessDenied", { message: `the provider refuses: ${error.slice(0, 100)}` })
    const code = query.get("code")
    if (code === undefined || code === "") throw refuse("the provider has sent no code")
    const token = await this.exchange(await this.keys.endpointsOf(issuer, nowMs), code, begun)
    return this.assume(token, begun.nonce, nowMs, context)
  }

  private async exchange(endpoints: SignInEndpoints, code: string, begun: SignInState): Promise<string> {
    if (this.exchanges >= EXCHANGES_MAX) throw fail("tooManyInFlight", { message: "too many people sign in right now" })
    this.exchanges += 1
    const { clock, web } = this.parts
    try {
      const request = { ...this.tokenRequest(endpoints, code, begun), authorities: undefined }
      const { status, body } = await limited({ clock, durationMs: ANSWER.timeoutMs }, [], signal =>
        web.post(request, ANSWER.bytesMax, signal),
      )
      return tokenIn(endpoints.token, status, body)
    } finally {
      this.exchanges -= 1
    }
  }

  private tokenRequest({ token: url, methods }: SignInEndpoints, code: string, { redirectUri, verifier }: SignInState) {
    const { clientId, clientSecret } = this.settings
    const form = new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: redirectUri })
    form.set("code_verifier", verifier)
    const isBasic = clientSecret !== undefined && methods.includes("client_secret_basic")
    if (!isBasic) form.set("client_id", clientId)
    if (clientSecret !== undefined && !isBasic) form.set("client_secret", clientSecret)
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      accept: "application/json",
      ...(isBasic && { authorization: basicOf(clientId, clientSecret) }),
    }
    return { url, headers, body: Buffer.from(form.toString()) }
  }

  /** The first role that admits the person. */
  private async assume(token: string, nonce: string, nowMs: number, context: RequestContext): Promise<IssuedSession> {
    let denied: unknown
    for (const role of this.settings.roles) {
      const identity = await this.webIdentities.verify(token, role, nowMs)
      const claims = decodeJwt(token)
      checkClaims(claims, this.settings, nonce)
      const sessionName = sessionNameOf(claims)
      const request = {
        roleArn: role,
        sessionName,
        policy: undefined,
        policyArns: [],
        tags: [],
        nowMs,
        seconds: await this.secondsOf(identity.account.id, role),
        context: withSessionName(context, sessionName),
      }
      try {
        return await this.parts.sessions.assumeByWeb(identity, request)
      } catch (error) {
        if (!isFailure(error, "accessDenied")) throw error
        denied ??= error
      }
    }
    throw denied
  }

  /** Returns the longest session that the role allows, up to a working day; undefined for the usual length. */
  private async secondsOf(
    accountId: Parameters<Identities["getProvider"]>[0],
    arn: string,
  ): Promise<number | undefined> {
    const name = parseIdentityArn("role", arn)?.name ?? ""
    try {
      const { role } = await this.parts.identities.get({ accountId, kind: "role", name })
      return role && Math.min(role.sessionSecondsMax, SESSION_SECONDS_MAX)
    } catch (error) {
      if (isFailure(error, "noSuchEntity")) return undefined
      throw error
    }
  }
}

const refuse = (message: string): Failure => fail("invalidIdentityToken", { message })

const challengeOf = (verifier: string): string => Buffer.from(sha256Hex(verifier), "hex").toString("base64url")

/** Both parts are encoded as in a form before they are put together. */
const basicOf = (id: string, secret: string): string => {
  const encoded = [id, secret].map(text => new URLSearchParams({ "": text }).toString().slice(1))
  return `Basic ${Buffer.from(encoded.join(":")).toString("base64")}`
}

function tokenIn(url: string, status: number, body: Uint8Array): string {
  const answer = parseAnswer(body)
  const [token, error] = ["id_token", "error"].map(name => jsonMember(answer, name))
  if (status === 200 && typeof token === "string") return token
  const reason = typeof error === "string" ? `: ${error.slice(0, 100)}` : ""
  // A code that is wrong or was used; everything else is between the operator and the provider.
  if (error === "invalid_grant") throw refuse("the provider does not accept the code that the browser brought")
  throw fail("providerUnreachable", { url, reason: `status ${status}${reason}, without an id_token` })
}

function parseAnswer(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString())
  } catch {
    return undefined
  }
}

type Claims = ReturnType<typeof decodeJwt>

/** Checks the claims of a token whose signature, issuer and times are verified. */
function checkClaims(claims: Claims, { clientId, issuer }: SignInSettings, nonce: string): void {
  const audiences = [claims.aud ?? []].flat()
  const party = claims["azp"]
  const isOurs = audiences.includes(clientId) && (party === undefined ? audiences.length === 1 : party === clientId)
  if (claims.iss !== issuer || !isOurs) throw refuse("the token was issued to another client")
  const found = claims["nonce"]
  if (typeof found !== "string" || !equalInConstantTime(found, nonce)) {
    throw refuse("the token is of another sign-in than the one that this browser began")
  }
}

/** By which people recognise the session: an address that the provider has verified, or else the subject. */
function sessionNameOf(claims: Claims): string {
  const email = claims["email_verified"] === true ? claims["email"] : undefined
  const name = typeof email === "string" && email !== "" ? email : (claims.sub ?? "")
  return name
    .replace(/[^\w+=,.@-]/g, "-")
    .slice(0, NAME_CHARACTERS.most)
    .padEnd(NAME_CHARACTERS.least, "-")
}

const withSessionName = (context: RequestContext, sessionName: string): RequestContext => ({
  valuesOf: key => (key.name === "sts:rolesessionname" ? sessionName : context.valuesOf(key)),
})
