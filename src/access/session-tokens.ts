/**
 * Session tokens: sealed under their own key, so that clients cannot make or change one and the server stores nothing.
 * The calling code checks that the key, role or provider behind a token is still valid.
 */
import { isFailure } from "../base/failures.js"
import { decodeSessionToken, encodeSessionToken, type SessionToken } from "../format/session-token.js"
import type { Random } from "../seams/random/contract.js"
import { openBytes, sealBytes } from "../format/sealed-bytes.js"
import type { MasterKeys } from "./master-keys.js"

const PURPOSE = "session token"
const TOKEN = /^HL1\.[A-Za-z0-9_-]+$/
const BEGINNING = "HL1."
/** Fits into a request with its other headers. */
const TOKEN_CHARACTERS_MAX = 8_192

export class SessionTokens {
  private readonly random: Random

  constructor(
    private readonly masterKeys: MasterKeys,
    random: Random,
  ) {
    this.random = random.fork("session tokens")
  }

  seal(token: SessionToken): string {
    const [key] = this.masterKeys.derived(PURPOSE)
    const sealed = sealBytes(key, PURPOSE, encodeSessionToken(token), this.random)
    return BEGINNING + Buffer.from(sealed).toString("base64url")
  }

  /** Undefined if this store did not issue the token. */
  open(text: string): SessionToken | undefined {
    if (text.length > TOKEN_CHARACTERS_MAX || !TOKEN.test(text)) return undefined
    const sealed = Buffer.from(text.slice(BEGINNING.length), "base64url")
    // A base64 decoder ignores the spare bits of the last character: a different text would decode to the same token.
    if (sealed.toString("base64url") !== text.slice(BEGINNING.length)) return undefined
    const plain = this.plainOf(sealed)
    if (plain === undefined) return undefined
    try {
      return decodeSessionToken(plain)
    } catch (error) {
      if (isFailure(error)) return undefined
      throw error
    }
  }

  /** During a rotation of the master key, tokens of the former one hold. */
  private plainOf(sealed: Uint8Array): Uint8Array | undefined {
    for (const key of this.masterKeys.derived(PURPOSE)) {
      const plain = openBytes(key, PURPOSE, sealed)
      if (plain !== undefined) return plain
    }
    return undefined
  }
}
