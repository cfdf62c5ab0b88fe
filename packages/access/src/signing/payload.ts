/**
 * The protection of a signed request's body, from the value of `x-amz-content-sha256`.
 */
import { fail } from "@hayloft/base/failures.js"

export type PayloadMode =
  /** The body's SHA-256, 64 hex digits in lower case, is part of the signature. */
  | { readonly kind: "hashed"; readonly sha256Hex: string }
  | { readonly kind: "unsigned" }
  /** aws-chunked: the body carries signed or plain chunks, and possibly a trailer. */
  | { readonly kind: "chunked"; readonly signed: boolean; readonly trailer: boolean }

export const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
export const STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
export const STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
export const STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

const WORDS: ReadonlyMap<string, PayloadMode> = new Map<string, PayloadMode>([
  [UNSIGNED_PAYLOAD, { kind: "unsigned" }],
  [STREAMING_SIGNED, { kind: "chunked", signed: true, trailer: false }],
  [STREAMING_SIGNED_TRAILER, { kind: "chunked", signed: true, trailer: true }],
  [STREAMING_UNSIGNED_TRAILER, { kind: "chunked", signed: false, trailer: true }],
])

const SHA256_HEX = /^[0-9a-f]{64}$/i

/** Throws `notImplemented` for the elliptic-curve modes, `invalidArgument` for anything unknown. */
export function parsePayloadMode(value: string): PayloadMode {
  const known = WORDS.get(value)
  if (known !== undefined) return known
  if (SHA256_HEX.test(value)) return { kind: "hashed", sha256Hex: value.toLowerCase() }
  if (value.startsWith("STREAMING-AWS4-ECDSA-")) throw fail("notImplemented", { header: "x-amz-content-sha256" })
  throw fail("invalidArgument", {
    message:
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
    argumentName: "x-amz-content-sha256",
  })
}
