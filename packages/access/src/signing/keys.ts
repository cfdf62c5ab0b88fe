/**
 * Signing keys: derived from a secret for one day, region and service, and cached for the next request.
 *
 * Limits  `SIGNING_KEYS_MAX` keys, each with `TEXT_BYTES_MAX` of memory for texts; the least recently used is evicted
 *         first. A cached key is used only with the secret it was derived from.
 */
import { createHmac } from "node:crypto"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { deriveSigningKey, scopeText } from "./canonical.js"
import type { SigningScope } from "./canonical.js"

const SIGNING_KEYS_MAX = 1024
const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
/** Longer texts, such as form policies, are too rare to reserve memory for. */
const TEXT_BYTES_MAX = 1024
const VIEWS_MAX = 8
const INNER_PAD = 0x36
const OUTER_PAD = 0x5c

/** HMAC-SHA256 (RFC 2104) with one key: two one-shot digests, which cost less than making an HMAC object. */
export class SigningKey {
  /** The key's inner block, followed by space for a text. */
  private inner = Buffer.alloc(BLOCK_BYTES)
  private readonly outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES)
  /** Views of `inner` by length: signed texts have few lengths, and making a view costs as much as hashing it. */
  private views = new Map<number, Buffer>()

  constructor(
    readonly secret: string,
    readonly key: Uint8Array,
  ) {
    for (let i = 0; i < BLOCK_BYTES; i += 1) {
      this.inner[i] = (key[i] ?? 0) ^ INNER_PAD
      this.outer[i] = (key[i] ?? 0) ^ OUTER_PAD
    }
  }

  /** The HMAC of a byte string, in hex. */
  sign(text: string): string {
    if (text.length > TEXT_BYTES_MAX) return createHmac("sha256", this.key).update(text, "latin1").digest("hex")
    const bytes = this.viewOf(BLOCK_BYTES + text.length)
    bytes.write(text, BLOCK_BYTES, "latin1")
    this.outer.write(digestOnce("sha256", bytes, "binary"), BLOCK_BYTES, "latin1")
    return digestOnce("sha256", this.outer, "hex")
  }

  private viewOf(lengthBytes: number): Buffer {
    const known = this.views.get(lengthBytes)
    if (known !== undefined) return known
    if (lengthBytes > this.inner.length) {
      const larger = Buffer.alloc(lengthBytes)
      this.inner.copy(larger, 0, 0, BLOCK_BYTES)
      this.inner = larger
      this.views = new Map()
    }
    const view = this.inner.subarray(0, lengthBytes)
    if (this.views.size >= VIEWS_MAX) this.views.clear()
    this.views.set(lengthBytes, view)
    return view
  }
}

export class SigningKeys {
  private readonly cached = new Map<string, SigningKey>()

  constructor(private readonly keysMax: number = SIGNING_KEYS_MAX) {}

  get size(): number {
    return this.cached.size
  }

  of(accessKeyId: string, secret: string, scope: SigningScope): SigningKey {
    const name = `${accessKeyId}\n${scopeText(scope)}`
    const found = this.cached.get(name)
    const key = found?.secret === secret ? found : new SigningKey(secret, deriveSigningKey(secret, scope))
    keepLatest(this.cached, name, key, this.keysMax)
    return key
  }
}
