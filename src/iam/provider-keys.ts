/**
 * Public keys of OpenID Connect providers, as their discovery documents name them.
 *
 * Promises  What a token claims never chooses where is asked: only providers that an account has are.
 * Limits    One request to a provider at a time, and no more than one in `FETCH_EVERY_MS`, whatever tokens
 *           come; `PROVIDERS_MAX` are remembered. Documents have a size and a time.
 */
import { createLocalJWKSet, type JSONWebKeySet } from "jose"
import { fail, type Failure } from "../base/failures.js"
import { KIB } from "../base/limits.js"
import type { Web } from "../seams/web/contract.js"

const DOCUMENT = { bytesMax: 256 * KIB, timeoutMs: 5_000 } as const
const KEEP_MS = 60 * 60_000
const FETCH_EVERY_MS = 10_000
const PROVIDERS_MAX = 200

export type KeySet = ReturnType<typeof createLocalJWKSet>

interface Fetched {
  readonly fetchedMs: number
  readonly keys: Promise<KeySet>
}

export class ProviderKeys {
  private readonly known = new Map<string, Fetched>()

  constructor(private readonly web: Web) {}

  /** `isStale`: those that are remembered do not have the key of a token. Throws `providerUnreachable`. */
  of(issuer: string, nowMs: number, isStale: boolean): Promise<KeySet> {
    const found = this.known.get(issuer)
    const ageMs = found === undefined ? Infinity : Math.abs(nowMs - found.fetchedMs)
    if (found !== undefined && ageMs < (isStale ? FETCH_EVERY_MS : KEEP_MS)) return found.keys
    if (this.known.size >= PROVIDERS_MAX) this.known.clear()
    const keys = this.fetch(issuer)
    this.known.set(issuer, { fetchedMs: nowMs, keys })
    keys.catch(() => this.failed(issuer, nowMs, found))
    return keys
  }

  /** Keys that were good go on counting; where there are none, it is tried again a little later. */
  private failed(issuer: string, nowMs: number, before: Fetched | undefined): void {
    const current = this.known.get(issuer)
    if (current?.fetchedMs !== nowMs) return
    const keepUntil = nowMs - KEEP_MS + FETCH_EVERY_MS
    this.known.set(issuer, { fetchedMs: keepUntil, keys: (before ?? current).keys })
  }

  private async fetch(issuer: string): Promise<KeySet> {
    const base = issuer.endsWith("/") ? issuer.slice(0, -1) : issuer
    const discovery = await this.document(`${base}/.well-known/openid-configuration`)
    if (memberOf(discovery, "issuer") !== issuer) throw unreadable(issuer, "it names another issuer")
    const keysUrl = memberOf(discovery, "jwks_uri")
    if (typeof keysUrl !== "string" || !isAsSafeAs(issuer, keysUrl) || !this.web.allows(keysUrl))
      throw unreadable(issuer, "its jwks_uri")
    const keys = await this.document(keysUrl)
    if (!isKeySet(keys)) throw unreadable(issuer, "its keys")
    return createLocalJWKSet(keys)
  }

  private async document(url: string): Promise<unknown> {
    const bytes = await this.web.get(url, DOCUMENT)
    try {
      return JSON.parse(Buffer.from(bytes).toString())
    } catch {
      throw unreadable(url, "no JSON")
    }
  }
}

const unreadable = (url: string, reason: string): Failure =>
  fail("providerUnreachable", { message: `The identity provider's document cannot be read: ${url}: ${reason}` })

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** Keys come over TLS wherever the provider does. */
const isAsSafeAs = (issuer: string, url: string): boolean =>
  URL.canParse(url) && (url.startsWith("https://") || (issuer.startsWith("http://") && url.startsWith("http://")))

const isKeySet = (value: unknown): value is JSONWebKeySet => {
  const keys = memberOf(value, "keys")
  return Array.isArray(keys) && keys.every(key => typeof memberOf(key, "kty") === "string")
}
