/**
 * Seals secrets at rest and session tokens, under the store's master key or a key derived from it.
 *
 * AES-256-GCM; nonce (12), ciphertext, tag (16). The purpose of the secret is bound as associated data, so that one
 * sealed secret cannot replace another.
 */
import { createHmac } from "node:crypto"
import { GCM_NONCE_BYTES, openWithNonce, sealWithNonce } from "../base/aes-gcm.js"
import { fail } from "../base/failures.js"
import type { Random } from "../seams/random/contract.js"

export const MASTER_KEY_BYTES = 32

export function sealBytes(key: Uint8Array, purpose: string, plain: Uint8Array, random: Random): Uint8Array {
  return sealWithNonce(plain, { key, nonce: random.bytes(GCM_NONCE_BYTES), aad: Buffer.from(purpose) })
}

/** Undefined if the key or the purpose differs from the one it was sealed under. */
export const openBytes = (key: Uint8Array, purpose: string, sealed: Uint8Array): Uint8Array | undefined =>
  openWithNonce(sealed, { key, aad: Buffer.from(purpose) })

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
