/**
 * AES-256-GCM (NIST SP 800-38D) with nonces of 12 bytes and tags of 16. The one place that calls the cipher.
 *
 * Requires  A nonce is used once under a key. Callers say why that holds for theirs.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto"

const ALGORITHM = "aes-256-gcm"
export const GCM_NONCE_BYTES = 12
export const GCM_TAG_BYTES = 16
const [COUNTER_BYTES, BLOCK_BYTES] = [4, 16]

/** How bytes are sealed. `aad`: bytes that are not encrypted, and without which they do not open. */
interface Gcm {
  readonly key: Uint8Array | KeyObject
  readonly nonce: Uint8Array
  readonly aad?: Uint8Array
}

export function sealGcm(
  plain: Uint8Array,
  { key, nonce, aad }: Gcm,
): { readonly sealed: Buffer; readonly tag: Buffer } {
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: GCM_TAG_BYTES })
  if (aad !== undefined) cipher.setAAD(aad)
  const sealed = cipher.update(plain)
  // A stream cipher: `final` has no bytes.
  cipher.final()
  return { sealed, tag: cipher.getAuthTag() }
}

/** The plaintext; undefined if key, nonce, bytes or tag are not those of the sealing. */
export function openGcm(sealed: Uint8Array, tag: Uint8Array, { key, nonce, aad }: Gcm): Buffer | undefined {
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: GCM_TAG_BYTES })
  if (aad !== undefined) decipher.setAAD(aad)
  decipher.setAuthTag(tag)
  const plain = decipher.update(sealed)
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return plain
}

/** Nonce, ciphertext, tag. */
export function sealWithNonce(plain: Uint8Array, gcm: Gcm): Buffer {
  const { sealed, tag } = sealGcm(plain, gcm)
  return Buffer.concat([gcm.nonce, sealed, tag])
}

/** Opens what `sealWithNonce` returned. */
export function openWithNonce(bytes: Uint8Array, { key, aad }: Omit<Gcm, "nonce">): Buffer | undefined {
  const tagAt = bytes.length - GCM_TAG_BYTES
  if (tagAt < GCM_NONCE_BYTES) return undefined
  const nonce = bytes.subarray(0, GCM_NONCE_BYTES)
  return openGcm(bytes.subarray(GCM_NONCE_BYTES, tagAt), bytes.subarray(tagAt), { key, nonce, ...(aad && { aad }) })
}

/**
 * Decrypts a part of sealed bytes without its tag: for readers that verify the plaintext in another way. Section 6.5:
 * the ciphertext is that of counter mode, and its first counter is 2.
 */
export function decryptPart(part: Uint8Array, fromBytes: number, { key, nonce }: Omit<Gcm, "aad">): Buffer {
  const counter = Buffer.alloc(COUNTER_BYTES)
  counter.writeUInt32BE(2 + Math.floor(fromBytes / BLOCK_BYTES))
  const decipher = createDecipheriv("aes-256-ctr", key, Buffer.concat([nonce, counter]))
  decipher.update(Buffer.alloc(fromBytes % BLOCK_BYTES))
  return decipher.update(part)
}
