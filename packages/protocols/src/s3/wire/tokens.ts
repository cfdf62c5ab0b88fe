/**
 * Continuation tokens: where the next page of a listing begins, opaque to clients.
 *
 * Promises  A token is valid only in its scope (a bucket, an account), and a damaged one never is:
 *           both are `invalidArgument`. It contains nothing secret, so its checksum is not a signature.
 * Format    base64url of: version 1, 8 bytes of SHA-256 over scope and place, the place.
 */
import { createHash } from "node:crypto"
import { bytesOfBase64Url } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"

const VERSION = 1
const CHECKSUM_BYTES = 8
const TOKEN_CHARACTERS_MAX = 4096

const damaged = (): Failure =>
  fail("invalidArgument", {
    message: "The continuation token provided is incorrect",
    argumentName: "continuation-token",
  })

function checksumOf(place: Uint8Array, scope: string): Buffer {
  const hash = createHash("sha256").update(`${VERSION}\n${scope.length}\n${scope}\n`, "utf8").update(place)
  return hash.digest().subarray(0, CHECKSUM_BYTES)
}

/** `place`: a byte string. `scope`: what is listed; decoding needs the same. */
export function encodeToken(place: string, scope: string): string {
  const bytes = Buffer.from(place, "latin1")
  return Buffer.concat([Buffer.of(VERSION), checksumOf(bytes, scope), bytes]).toString("base64url")
}

/** The place in a token of this scope. Throws `invalidArgument`. */
export function decodeToken(token: string, scope: string): string {
  const bytes = token.length > TOKEN_CHARACTERS_MAX ? undefined : bytesOfBase64Url(token)
  if (bytes?.[0] !== VERSION || bytes.length < 1 + CHECKSUM_BYTES) throw damaged()
  const place = bytes.subarray(1 + CHECKSUM_BYTES)
  if (!checksumOf(place, scope).equals(bytes.subarray(1, 1 + CHECKSUM_BYTES))) throw damaged()
  return place.toString("latin1")
}
