/**
 * Seals secrets at rest and session tokens, under the store's master key or a key derived from it.
 *
 * AES-256-GCM; nonce (12), ciphertext, tag (16). The purpose of the secret is bound as associated data, so that one
 * sealed secret cannot replace another.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto"
import { fail } from "../base/failures.js"
import type { Random } from "../seams/random/contract.js"

const NONCE_BYTES = 12
const TAG_BYTES = 16
export const MASTER_KEY_BYTES = 32

export function sealBytes(key: Uint8Array, purpose: string, plain: Uint8Array, random: Random): Uint8Array {
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(purpose))
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()])
}

/** Undefined if the key or the purpose differs from the one it was sealed under. */
export function openBytes(key: Uint8Array, purpose: string, sealed: Uint8Array): Uint8Array | undefined {
  const bytes = Buffer.from(sealed)
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES))
  decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
  const plain = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES))
  try {
    return Buffer.concat([plain, decipher.final()])
  } catch {
    return undefined
  }
}

export const sealSecret = (masterKey: Uint8Array, purpose: string, secret: string, random: Random): Uint8Array =>
  sealBytes(masterKey, purpose, Buffer.from(secret), random)

/** Throws `wrongMasterKey` if the key or the purpose differs from the one it was sealed under. */
export function openSecret(masterKey: Uint8Array, purpose: string, sealed: Uint8Array): string {
  const secret = openBytes(masterKey, purpose, sealed)
  if (secret === undefined) throw fail("wrongMasterKey")
  return Buffer.from(secret).toString("utf8")
}

/** A key for one purpose, which reveals neither the master key nor other derived keys. */
export const deriveKey = (masterKey: Uint8Array, purpose: string): Uint8Array =>
  createHmac("sha256", masterKey).update(purpose).digest()
