/**
 * Sealed bytes: secrets as records keep them, under a key of 32 bytes.
 *
 * AES-256-GCM; nonce (12), ciphertext, tag (16). The purpose of the secret is bound as additional data, so that one sealed
 * secret cannot replace another.
 */
import { GCM_NONCE_BYTES, openWithNonce, sealWithNonce } from "@hayloft/base/encryption/aes-gcm.js"

export const sealBytes = (
  key: Uint8Array,
  purpose: string,
  plain: Uint8Array,
  random: { bytes(count: number): Uint8Array },
): Uint8Array => sealWithNonce(plain, { key, nonce: random.bytes(GCM_NONCE_BYTES), aad: Buffer.from(purpose) })

/** Returns undefined if the key or the purpose differs from the one that the bytes were sealed under. */
export const openBytes = (key: Uint8Array, purpose: string, sealed: Uint8Array): Uint8Array | undefined =>
  openWithNonce(sealed, { key, aad: Buffer.from(purpose) })
