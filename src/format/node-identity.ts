/**
 * Node identity file, version 1: the private key and the certificate by which the nodes of a cluster know one another.
 *
 * Little-endian:
 *
 *   0  magic "HLNI"    6  bytes of the certificate (2)    40  certificate, DER
 *   4  version (2)     8  Ed25519 private key (32)         …  XXH64 of everything before it (8)
 *
 * Refuses   Anything else with `corruptRecord`. A higher version was written by a later release: `invalidConfig`, since
 *           nothing is damaged. Whether the key belongs to the certificate is for the reader to check.
 */
import { assert } from "../base/assert.js"
import { fail, type Failure } from "../base/failures.js"
import { xxh64 } from "../simd/xxh64.js"

export interface NodeIdentityRecord {
  /** The 32 bytes from which RFC 8032 derives an Ed25519 key pair. */
  readonly privateKey: Uint8Array
  /** Kept, not made again from the key: its fingerprint must outlive every change of how certificates are written. */
  readonly certificate: Uint8Array
}

export const PRIVATE_KEY_BYTES = 32
const CERTIFICATE_BYTES_MAX = 0xffff
const MAGIC = 0x494e_4c48
const VERSION = 1
const CERTIFICATE_AT = 40
const CHECKSUM_BYTES = 8

export function encodeNodeIdentity({ privateKey, certificate }: NodeIdentityRecord): Uint8Array {
  assert(privateKey.length === PRIVATE_KEY_BYTES, "a private key has its length")
  assert(certificate.length > 0 && certificate.length <= CERTIFICATE_BYTES_MAX, "a certificate is within its limit")
  const checksumAt = CERTIFICATE_AT + certificate.length
  const bytes = new Uint8Array(checksumAt + CHECKSUM_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, VERSION, true)
  view.setUint16(6, certificate.length, true)
  bytes.set(privateKey, 8)
  bytes.set(certificate, CERTIFICATE_AT)
  view.setBigUint64(checksumAt, xxh64(bytes.subarray(0, checksumAt)), true)
  return bytes
}

/** Throws `corruptRecord`, `invalidConfig` (see above). */
export function decodeNodeIdentity(bytes: Uint8Array): NodeIdentityRecord {
  const checksumAt = bytes.length - CHECKSUM_BYTES
  if (checksumAt <= CERTIFICATE_AT) throw corrupt("length")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) throw corrupt("magic")
  if (view.getBigUint64(checksumAt, true) !== xxh64(bytes.subarray(0, checksumAt))) throw corrupt("checksum")
  if (view.getUint16(4, true) !== VERSION) {
    throw fail("invalidConfig", { message: "the identity of the node was written by a later release of Hayloft" })
  }
  if (view.getUint16(6, true) !== checksumAt - CERTIFICATE_AT) throw corrupt("length")
  return { privateKey: bytes.slice(8, CERTIFICATE_AT), certificate: bytes.slice(CERTIFICATE_AT, checksumAt) }
}

const corrupt = (field: string): Failure => fail("corruptRecord", { what: "node identity", field })
