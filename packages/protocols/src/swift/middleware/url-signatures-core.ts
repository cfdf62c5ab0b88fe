/**
 * Signatures of temporary URLs and of forms: an HMAC of a text, by one of the keys of an account or a container. Pure.
 *
 * Promises  Signatures are compared in constant time, with every key.
 * Source    `swift/common/digest.py`, OpenStack: a digest in hex names its algorithm by its length; otherwise the name is
 *           before a colon, and base64 after it, in either alphabet.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { bytesOfHex } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { SwiftSetter, SwiftSetters } from "@hayloft/engine/format/swift/swift-setter.js"

type DigestName = "sha1" | "sha256" | "sha512"

export interface UrlSignature {
  readonly digest: DigestName
  readonly bytes: Uint8Array
}

/** A key of the account is good for all its containers, one of a container for that container. */
export interface UrlKey {
  readonly scope: "account" | "container"
  readonly key: string
  /**
   * The setter of the key, as whom its signatures let requests in. If it was not noted, it is undefined, and the key
   * lets nothing in until it is set again.
   */
  readonly setter: SwiftSetter | undefined
}

const BYTES_OF: Readonly<Record<DigestName, number>> = { sha1: 20, sha256: 32, sha512: 64 }
const DIGESTS = ["sha1", "sha256", "sha512"] as const
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** Returns undefined if the text is no signature. */
export function readUrlSignature(text: string): UrlSignature | undefined {
  const colon = text.indexOf(":")
  if (colon < 0) {
    const bytes = bytesOfHex(text.toLowerCase())
    const digest = DIGESTS.find(name => BYTES_OF[name] === bytes?.length)
    return bytes === undefined || digest === undefined ? undefined : { digest, bytes }
  }
  const digest = DIGESTS.find(name => name === text.slice(0, colon))
  const coded = text.slice(colon + 1)
  if (digest === undefined || !BASE64.test(coded)) return undefined
  const bytes = Buffer.from(coded, "base64")
  return bytes.length === BYTES_OF[digest] ? { digest, bytes } : undefined
}

/** The keys in the metadata of an account or a container; names in lower case, values as byte strings. */
export const urlKeysIn = (
  scope: UrlKey["scope"],
  metadata: readonly (readonly [name: string, value: string])[],
  setters: SwiftSetters = [],
): readonly UrlKey[] =>
  metadata
    .filter(([name, key]) => (name === "temp-url-key" || name === "temp-url-key-2") && key !== "")
    .map(([name, key]) => ({ scope, key, setter: new Map(setters).get(name) }))

/** The key that signed one of the messages; undefined: none did. Messages and keys are byte strings. */
export function signerOf(
  { digest, bytes }: UrlSignature,
  messages: readonly string[],
  keys: readonly UrlKey[],
): UrlKey | undefined {
  let signer: UrlKey | undefined
  for (const key of keys) {
    for (const message of messages) {
      const expected = createHmac(digest, Buffer.from(key.key, "latin1")).update(message, "latin1").digest()
      if (timingSafeEqual(expected, bytes)) signer ??= key
    }
  }
  return signer
}

/** Throws `signatureMismatch` for SHA-1 unless the operator allows it. */
export function checkDigest({ digest }: UrlSignature, allowSha1: boolean): void {
  if (digest !== "sha1" || allowSha1) return
  const message =
    "Signatures with SHA-1 are refused here: sign with SHA-256 or SHA-512 (the operator may pass --swift-allow-sha1)"
  throw fail("signatureMismatch", { message })
}
