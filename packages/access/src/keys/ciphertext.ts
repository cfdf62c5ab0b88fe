/**
 * How ciphertexts of named keys begin: the format (1 byte), then the id of the key (16 bytes), so that `Decrypt` needs no
 * other name of it. Format 1 is that of built-in keys (`built-in.ts`); 2 has the ciphertext of a key service behind it.
 */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { parseKmsKeyId, type KmsKeyId } from "@hayloft/base/ids.js"

export const BUILT_IN_FORMAT = 1
const EXTERNAL_FORMAT = 2
export const KEY_ID_BYTES = 16
export const EXTERNAL_HEADER_BYTES = 1 + KEY_ID_BYTES
const PARTS = [0, 8, 12, 16, 20, 32]

/** 32 hex digits as a UUID. */
export const keyIdText = (hex: string): string =>
  PARTS.slice(1)
    .map((end, i) => hex.slice(PARTS[i], end))
    .join("-")

export const bytesOfKeyId = (id: KmsKeyId): Uint8Array => must(bytesOfHex(id.replaceAll("-", "")), "key ids are hex")

/** The key that a ciphertext names. Throws `invalidCiphertext`. */
export function keyIdOfCiphertext(ciphertext: Uint8Array): KmsKeyId {
  const isKnown = ciphertext[0] === BUILT_IN_FORMAT || ciphertext[0] === EXTERNAL_FORMAT
  if (!isKnown || ciphertext.length <= EXTERNAL_HEADER_BYTES) throw fail("invalidCiphertext")
  return parseKmsKeyId(keyIdText(hexOf(ciphertext.subarray(1, EXTERNAL_HEADER_BYTES))))
}

/** The ciphertext of a key service, behind the id of our key. */
export const wrapExternal = (id: KmsKeyId, ciphertext: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(EXTERNAL_FORMAT), bytesOfKeyId(id), ciphertext])
