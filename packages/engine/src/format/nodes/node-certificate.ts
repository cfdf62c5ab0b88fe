/**
 * A node's certificate, version 1: X.509 v3 in DER, self-signed with Ed25519 (RFC 5280, RFC 8410). Peers compare its
 * SHA-256, so it states nothing about the node: a constant name, and a validity that includes every clock.
 *
 *   version v3 · serial (16 bytes, positive) · Ed25519 · issuer CN=node · 1970-01-01 to 9999-12-31 · subject CN=node
 *   public key · key usage (critical): digital signature, so it can never sign another certificate
 *
 * Writes only: Node and OpenSSL read it.
 */
import { createHash } from "node:crypto"
import { assert } from "@hayloft/base/assert.js"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { parseNodeFingerprint, type NodeFingerprint } from "@hayloft/base/ids.js"

export const SERIAL_BYTES = 16
const SIGNATURE_BYTES = 64
/** SubjectPublicKeyInfo of Ed25519: 12 bytes that name the algorithm, and the key. */
const PUBLIC_KEY_BYTES = 44

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
} as const

/** A DER value: tag, length, contents. */
function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(contents)
  assert(body.length <= 0xffff, "a part of a certificate is shorter than 64 KiB")
  return concatBytes([Uint8Array.of(tag, ...lengthOf(body.length)), body])
}

/** DER allows only the shortest form of a length. */
function lengthOf(bytes: number): readonly number[] {
  if (bytes < 0x80) return [bytes]
  return bytes <= 0xff ? [0x81, bytes] : [0x82, bytes >> 8, bytes & 0xff]
}

const text = (tag: number, value: string): Uint8Array => der(tag, Buffer.from(value, "latin1"))
/** All bits of the bytes are used. */
const bits = (bytes: Uint8Array): Uint8Array => der(TAG.bitString, Uint8Array.of(0), bytes)

const VERSION_3 = der(TAG.version, der(TAG.integer, Uint8Array.of(2)))
/** 1.3.101.112 */
const ED25519 = der(TAG.sequence, der(TAG.objectId, Uint8Array.of(0x2b, 0x65, 0x70)))
/** 2.5.4.3, common name. RFC 5280 requires an issuer. */
const COMMON_NAME = der(TAG.objectId, Uint8Array.of(0x55, 0x04, 0x03))
const NAME = der(TAG.sequence, der(TAG.set, der(TAG.sequence, COMMON_NAME, text(TAG.utf8, "node"))))
/** RFC 5280, 4.1.2.5: years before 2050 as UTCTime; "99991231235959Z" means no end. */
const VALIDITY = der(TAG.sequence, text(TAG.utcTime, "700101000000Z"), text(TAG.generalizedTime, "99991231235959Z"))
/** 2.5.29.15, critical: the first of eight bits, the other seven unused. */
const KEY_USAGE = der(
  TAG.sequence,
  der(TAG.objectId, Uint8Array.of(0x55, 0x1d, 0x0f)),
  der(TAG.boolean, Uint8Array.of(0xff)),
  der(TAG.octetString, der(TAG.bitString, Uint8Array.of(7, 0x80))),
)
const EXTENSIONS = der(TAG.extensions, der(TAG.sequence, KEY_USAGE))

/** The part that is signed. `publicKey`: SubjectPublicKeyInfo in DER. `random`: becomes the serial number. */
export function encodeCertificateToSign(publicKey: Uint8Array, random: Uint8Array): Uint8Array {
  assert(publicKey.length === PUBLIC_KEY_BYTES, "an Ed25519 key has its length")
  assert(random.length === SERIAL_BYTES, "a serial number has its length")
  const serial = random.slice()
  // Positive, and without a leading zero: always 16 bytes.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return der(TAG.sequence, VERSION_3, der(TAG.integer, serial), ED25519, NAME, VALIDITY, NAME, publicKey, EXTENSIONS)
}

export function encodeCertificate(signed: Uint8Array, signature: Uint8Array): Uint8Array {
  assert(signature.length === SIGNATURE_BYTES, "an Ed25519 signature has its length")
  return der(TAG.sequence, signed, ED25519, bits(signature))
}

/** The SHA-256 of a certificate in DER. */
export const fingerprintOf = (certificate: Uint8Array): NodeFingerprint =>
  parseNodeFingerprint(hexOf(createHash("sha256").update(certificate).digest()))
