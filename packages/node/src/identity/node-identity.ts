/**
 * A node's identity: its key pair and its certificate, made in memory at each start. The node's row in the database
 * names the certificate's fingerprint, and the master key's HMAC in the row admits it (`admission-core.ts`).
 *
 * Promises  The key never leaves the process and is never written: a copy of the disks of a node does not let
 *           another machine take its place.
 */
import { createPrivateKey, createPublicKey, sign, X509Certificate } from "node:crypto"
import { concatBytes } from "@hayloft/base/bytes.js"
import type { NodeFingerprint } from "@hayloft/base/ids.js"
import {
  encodeCertificate,
  encodeCertificateToSign,
  fingerprintOf,
  SERIAL_BYTES,
} from "@hayloft/engine/format/nodes/node-certificate.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

export interface NodeIdentity {
  readonly fingerprint: NodeFingerprint
  /** PEM, as TLS options want them. */
  readonly certificatePem: string
  readonly privateKeyPem: string
}

const PRIVATE_KEY_BYTES = 32
/** PKCS #8 of an Ed25519 key (RFC 8410, section 7), up to the key's 32 bytes. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")

export function makeIdentity(random: Random): NodeIdentity {
  const pkcs8 = Buffer.from(concatBytes([PKCS8_HEAD, random.bytes(PRIVATE_KEY_BYTES)]))
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" })
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" })
  const toSign = encodeCertificateToSign(publicKey, random.bytes(SERIAL_BYTES))
  const certificate = encodeCertificate(toSign, sign(null, toSign, key))
  return {
    fingerprint: fingerprintOf(certificate),
    certificatePem: new X509Certificate(certificate).toString(),
    privateKeyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
  }
}
