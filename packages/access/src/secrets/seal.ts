/** Seals secrets at rest under the store's master key, and derives keys from it. */
import { createHmac } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import { openBytes, sealBytes } from "@hayloft/engine/format/encoding/sealed-bytes.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

export const MASTER_KEY_BYTES = 32

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
