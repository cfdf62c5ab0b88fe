/**
 * Web identities: tokens of OpenID Connect providers, verified against the provider registered in the role's account.
 *
 * Promises  Only asymmetric signatures are accepted, by keys that the provider itself publishes; issuer, audience and
 *           times are checked. Until then a token's claims only select the provider.
 */
import { decodeJwt, errors, jwtVerify, type JWTPayload } from "jose"
import {
  hostAndPath,
  parseIdentityArn,
  type Account,
  type Accounts,
  type Identities,
  type WebIdentity,
  checkIssuer,
} from "@hayloft/access/index.js"
import { AssertionError } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseAccountNumber } from "@hayloft/base/ids.js"
import type { IdentityProviderRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { Web } from "@hayloft/base/seams/web/contract.js"
import { ProviderKeys } from "./provider-keys.js"
import type { Tags } from "@hayloft/base/tags.js"

const TOKEN_CHARACTERS_MAX = 20_000
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
/** Tolerated skew between the provider's clock and ours. */
const SKEW_SECONDS = 30
/** The claim that carries session tags. A token with it is refused: session tags are not supported. */
const TAGS_CLAIM = "https://aws.amazon.com/tags"

export class WebIdentities {
  private readonly keys: ProviderKeys

  constructor(
    private readonly web: Web,
    private readonly accounts: Accounts,
    private readonly identities: Identities,
  ) {
    this.keys = new ProviderKeys(web)
  }

  /** Checks the URL of a new provider. Throws `invalidArgument` for a URL that would not be contacted. */
  checkUrl(url: string): void {
    checkIssuer(url, this.web)
  }

  /** Throws `invalidIdentityToken`, `tokenExpired`, `providerUnreachable`, `accessDenied`. */
  async verify(token: string, roleArn: string, nowMs: number): Promise<WebIdentity> {
    const { iss: issuer } = claimsOf(token)
    // Types of claims are checked here: the package checks them only as far as it compares them.
    if (typeof issuer !== "string") throw refuse("The token names no issuer")
    const account = await this.accountOf(roleArn)
    const provider = await this.providerOf(account, issuer)
    const payload = await this.payloadOf(token, provider, nowMs)
    const audience = [payload.aud ?? []].flat().find(one => provider.clientIds.includes(one))
    const { sub: subject } = payload
    if (audience === undefined) throw refuse("Incorrect token audience")
    if (typeof subject !== "string" || subject === "") throw refuse("The token names no subject")
    if (TAGS_CLAIM in payload) throw refuse(`The claim ${TAGS_CLAIM} is not supported`)
    return { account, provider, audience, subject, claims: conditionKeysOf(provider, audience, payload) }
  }

  private async accountOf(roleArn: string): Promise<Account> {
    const number = parseIdentityArn("role", roleArn)?.account
    const account =
      number === undefined || number === "aws"
        ? undefined
        : await this.accounts.accountOfNumber(parseAccountNumber(number))
    if (account !== undefined) return account
    throw fail("accessDenied", { message: "Not authorized to perform sts:AssumeRoleWithWebIdentity" })
  }

  private async providerOf({ id }: Account, issuer: string): Promise<IdentityProviderRecord> {
    try {
      return await this.identities.getProvider(id, issuer)
    } catch (error) {
      if (!isFailure(error, "noSuchEntity")) throw error
      throw refuse(`No OpenIDConnect provider found in your account for ${issuer.slice(0, 255)}`)
    }
  }

  private async payloadOf(token: string, provider: IdentityProviderRecord, nowMs: number): Promise<JWTPayload> {
    const verify = async (isStale: boolean): Promise<JWTPayload> => {
      const keys = await this.keys.of(provider.url, nowMs, isStale)
      const { payload } = await jwtVerify(token, keys, {
        issuer: provider.url,
        algorithms: ALGORITHMS,
        requiredClaims: ["iss", "aud", "sub", "exp", "iat"],
        clockTolerance: SKEW_SECONDS,
        currentDate: new Date(nowMs),
      })
      return payload
    }
    try {
      // Providers rotate their keys: an unknown key may be a new one.
      return await verify(false).catch((error: unknown) => {
        if (error instanceof errors.JWKSNoMatchingKey) return verify(true)
        throw error
      })
    } catch (error) {
      throw failureOf(error)
    }
  }
}

const refuse = (message: string): Failure => fail("invalidIdentityToken", { message })

function claimsOf(token: string): JWTPayload {
  if (token.length > TOKEN_CHARACTERS_MAX) throw refuse("The token is too long")
  try {
    return decodeJwt(token)
  } catch {
    throw refuse("The ID Token provided is not a valid JWT.")
  }
}

function failureOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) {
    return fail("tokenExpired", { message: "Token expired", identity: "web" })
  }
  if (isFailure(error) || error instanceof AssertionError || !(error instanceof Error)) return error
  // A key that the provider publishes may be malformed or too short: the package throws the runtime's own errors for those.
  return refuse(`Couldn't verify the token: ${error.message}`)
}

/** Claims that trust policies rely on: only this spelling is accepted. */
const RELIED_ON: ReadonlySet<string> = new Set(["iss", "sub", "aud", "amr", "azp", "oaud"])

/**
 * Claims that are strings, or lists of strings: `issuer:sub`, `issuer:groups` … Condition keys are compared without
 * case, so claims that differ only in case would become one key with the values of both: all of those are ignored.
 */
function conditionKeysOf({ url }: IdentityProviderRecord, audience: string, payload: JWTPayload): Tags {
  const issuer = hostAndPath(url)
  const claims = Object.entries({ ...payload, aud: audience })
  const spellings = new Map<string, number>()
  for (const [name] of claims) spellings.set(name.toLowerCase(), (spellings.get(name.toLowerCase()) ?? 0) + 1)
  const isAccepted = (name: string): boolean => {
    const key = name.toLowerCase()
    return RELIED_ON.has(key) ? name === key : spellings.get(key) === 1
  }
  const texts = claims.flatMap(([name, value]) =>
    [isAccepted(name) ? value : []].flat().flatMap(one => (typeof one === "string" ? [[name, one] as const] : [])),
  )
  return texts.map(([name, value]) => [`${issuer}:${name}`, value])
}
