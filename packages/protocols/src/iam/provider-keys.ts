/**
 * The data that OpenID Connect providers publish: their public keys, and where people sign in, from their discovery
 * documents.
 *
 * Promises  A token's claims never choose which hosts are contacted: only providers registered by an account are.
 * Limits    At most one request to a provider at a time and one per `FETCH_EVERY_MS`, regardless of the tokens
 *           received; `PROVIDERS_MAX` providers are cached. Documents are limited in size and time.
 */
import { createLocalJWKSet, type JSONWebKeySet } from "jose"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Web } from "@hayloft/base/seams/web/contract.js"
import { jsonMember } from "@hayloft/base/json.js"

const DOCUMENT = { bytesMax: 256 * KIB, timeoutMs: 5_000 } as const
const KEEP_MS = 60 * 60_000
const FETCH_EVERY_MS = 10_000
const PROVIDERS_MAX = 200

/** The method that the standard assumes. */
const BASIC = "client_secret_basic"

type KeySet = ReturnType<typeof createLocalJWKSet>

/** The addresses at which people sign in, and at which a code is exchanged for tokens. */
export interface SignInEndpoints {
  readonly authorization: string
  readonly token: string
  /** How a client proves itself at `token`: that of the standard if the provider does not say. */
  readonly methods: readonly string[]
}

interface Published {
  readonly keys: KeySet
  /** The endpoints are undefined if the provider has none, or none that may be used. */
  readonly endpoints: SignInEndpoints | undefined
}

interface Fetched {
  /** The time of the last fetch, even if it failed. */
  readonly triedMs: number
  /** The last fetch, which may be under way; after a failed one the good one, if there is any. */
  readonly latest: Promise<Published>
  readonly good: { readonly fetchedMs: number; readonly published: Published } | undefined
}

export class ProviderKeys {
  private readonly known = new Map<string, Fetched>()

  constructor(private readonly web: Web) {}

  /** `isStale` means that the cached keys lack the key of a token. Throws `providerUnreachable`. */
  async of(issuer: string, nowMs: number, isStale: boolean): Promise<KeySet> {
    return (await this.published(issuer, nowMs, isStale)).keys
  }

  /** Throws `providerUnreachable`. */
  async endpointsOf(issuer: string, nowMs: number): Promise<SignInEndpoints> {
    const { endpoints } = await this.published(issuer, nowMs, false)
    if (endpoints === undefined) throw unreadable(issuer, "it has no allowed authorization_endpoint and token_endpoint")
    return endpoints
  }

  private published(issuer: string, nowMs: number, isStale: boolean): Promise<Published> {
    const found = this.known.get(issuer)
    const good = found?.good
    // They also hold while a fetch is under way that a token of an unknown key began.
    if (good !== undefined && !isStale && isWithin(KEEP_MS, good.fetchedMs, nowMs))
      return Promise.resolve(good.published)
    if (found !== undefined && isWithin(FETCH_EVERY_MS, found.triedMs, nowMs)) return found.latest
    if (this.known.size >= PROVIDERS_MAX) this.known.clear()
    const latest = this.fetch(issuer)
    this.known.set(issuer, { triedMs: nowMs, latest, good })
    latest.then(
      published => this.fetched(issuer, { triedMs: nowMs, latest, good: { fetchedMs: nowMs, published } }),
      // The earlier keys stay valid; the fetch is retried after `FETCH_EVERY_MS`.
      () => good && this.fetched(issuer, { triedMs: nowMs, latest: Promise.resolve(good.published), good }),
    )
    return latest
  }

  private fetched(issuer: string, outcome: Fetched): void {
    if (this.known.get(issuer)?.triedMs === outcome.triedMs) this.known.set(issuer, outcome)
  }

  private async fetch(issuer: string): Promise<Published> {
    const base = issuer.endsWith("/") ? issuer.slice(0, -1) : issuer
    const discovery = await this.document(`${base}/.well-known/openid-configuration`)
    if (jsonMember(discovery, "issuer") !== issuer) throw unreadable(issuer, "it names another issuer")
    const keysUrl = jsonMember(discovery, "jwks_uri")
    if (!this.isAllowed(issuer, keysUrl)) throw unreadable(issuer, "its jwks_uri is not allowed")
    const keys = await this.document(keysUrl)
    if (!isKeySet(keys)) throw unreadable(issuer, "its keys are malformed")
    return { keys: createLocalJWKSet(keys), endpoints: this.endpointsIn(issuer, discovery) }
  }

  private endpointsIn(issuer: string, discovery: unknown): SignInEndpoints | undefined {
    const authorization = jsonMember(discovery, "authorization_endpoint")
    const token = jsonMember(discovery, "token_endpoint")
    if (!this.isAllowed(issuer, authorization) || !this.isAllowed(issuer, token)) return undefined
    const methods = jsonMember(discovery, "token_endpoint_auth_methods_supported")
    const known = Array.isArray(methods) ? methods.filter(method => typeof method === "string") : [BASIC]
    return { authorization, token, methods: known }
  }

  private isAllowed(issuer: string, url: unknown): url is string {
    return typeof url === "string" && isAsSafeAs(issuer, url) && this.web.allows(url)
  }

  private async document(url: string): Promise<unknown> {
    const bytes = await this.web.get(url, DOCUMENT)
    try {
      return JSON.parse(Buffer.from(bytes).toString())
    } catch {
      throw unreadable(url, "it is not JSON")
    }
  }
}

/** A clock that was set back is no reason to wait. */
const isWithin = (durationMs: number, sinceMs: number, nowMs: number): boolean => Math.abs(nowMs - sinceMs) < durationMs

const unreadable = (url: string, reason: string): Failure =>
  fail("providerUnreachable", { message: `The identity provider's document cannot be read: ${url}: ${reason}` })

/** Keys must be fetched over TLS if the provider uses TLS. */
const isAsSafeAs = (issuer: string, url: string): boolean =>
  URL.canParse(url) && (url.startsWith("https://") || (issuer.startsWith("http://") && url.startsWith("http://")))

const isKeySet = (value: unknown): value is JSONWebKeySet => {
  const keys = jsonMember(value, "keys")
  return Array.isArray(keys) && keys.every(key => typeof jsonMember(key, "kty") === "string")
}
