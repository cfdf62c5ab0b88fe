/**
 * Seals: secrets at rest, under the store's master key.
 *
 * AES-256-GCM; nonce (12), ciphertext, tag (16). What the secret is for is bound as associated data, so
 * that one sealed secret cannot be put in another's place.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { fail } from "../base/failures.js"
import type { Random } from "../seams/random/contract.js"

const NONCE_BYTES = 12
const TAG_BYTES = 16
export const MASTER_KEY_BYTES = 32

export function sealSecret(masterKey: Uint8Array, purpose: string, secret: string, random: Random): Uint8Array {
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv("aes-256-gcm", masterKey, nonce).setAAD(Buffer.from(purpose))
  const sealed = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()])
}

/** Throws `wrongMasterKey` where the key or the purpose is not the one it was sealed under. */
export function openSecret(masterKey: Uint8Array, purpose: string, sealed: Uint8Array): string {
  try {
    const bytes = Buffer.from(sealed)
    const decipher = createDecipheriv("aes-256-gcm", masterKey, bytes.subarray(0, NONCE_BYTES))
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
    const secret = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES))
    return Buffer.concat([secret, decipher.final()]).toString("utf8")
  } catch (error) {
    throw fail("wrongMasterKey", {}, error)
  }
}
