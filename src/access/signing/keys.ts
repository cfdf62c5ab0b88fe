/**
 * Signing keys: derived from a secret for one day, region and service, and kept for the next request.
 *
 * Limits  `SIGNING_KEYS_MAX` keys; the one used longest ago goes first. A changed secret never meets
 *         the key of the old one.
 */
import { deriveSigningKey, scopeText } from "./canonical.js"
import type { Scope } from "./canonical.js"

export const SIGNING_KEYS_MAX = 1024

interface CachedKey {
  readonly secret: string
  readonly signingKey: Uint8Array
}

export class SigningKeys {
  private readonly cached = new Map<string, CachedKey>()

  constructor(private readonly keysMax: number = SIGNING_KEYS_MAX) {}

  get size(): number {
    return this.cached.size
  }

  of(accessKeyId: string, secret: string, scope: Scope): Uint8Array {
    const name = `${accessKeyId}\n${scopeText(scope)}`
    const found = this.cached.get(name)
    this.cached.delete(name)
    const entry = found?.secret === secret ? found : { secret, signingKey: deriveSigningKey(secret, scope) }
    this.cached.set(name, entry)
    for (const oldest of this.cached.keys()) {
      if (this.cached.size <= this.keysMax) break
      this.cached.delete(oldest)
    }
    return entry.signingKey
  }
}
