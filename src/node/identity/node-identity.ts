/**
 * A node's identity: its key pair and its certificate, made at its first start and kept in one file.
 *
 * Promises  The same file gives the same fingerprint with every release. After a power cut during the first start there
 *           is a whole identity or none.
 * Refuses   A damaged file, and a key that does not belong to its certificate (`corruptRecord`): making another
 *           identity silently would look like an intruder to the other nodes.
 */
import { createPrivateKey, createPublicKey, sign, X509Certificate, type KeyObject } from "node:crypto"
import { concatBytes, equalBytes } from "../../base/bytes.js"
import { fail, isFailure, type Failure } from "../../base/failures.js"
import type { NodeFingerprint } from "../../base/ids.js"
import { readRecordFile, replaceRecordFile } from "../../device/index.js"
import {
  encodeCertificate,
  encodeCertificateToSign,
  fingerprintOf,
  SERIAL_BYTES,
} from "../../format/node-certificate.js"
import {
  decodeNodeIdentity,
  encodeNodeIdentity,
  PRIVATE_KEY_BYTES,
  type NodeIdentityRecord,
} from "../../format/node-identity.js"
import type { Disk } from "../../seams/disk/index.js"
import type { Random } from "../../seams/random/contract.js"

export interface NodeIdentity {
  readonly fingerprint: NodeFingerprint
  /** PEM, as TLS options want them. The key never leaves the process. */
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** PKCS #8 of an Ed25519 key (RFC 8410, section 7), up to the key's 32 bytes. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")

/** The identity in the file; the first call makes one. One call at a time for each path. */
export async function openNodeIdentity(disk: Disk, path: string, random: Random): Promise<NodeIdentity> {
  const found = await readRecordFile(disk, path)
  if (found !== undefined) return identityOf(readIdentity(found, path), path)
  const made = makeIdentity(random)
  await replaceRecordFile(disk, path, encodeNodeIdentity(made))
  return identityOf(made, path)
}

function readIdentity(bytes: Uint8Array, path: string): NodeIdentityRecord {
  try {
    return decodeNodeIdentity(bytes)
  } catch (error) {
    throw isFailure(error, "corruptRecord") ? damaged(path, error) : error
  }
}

export function makeIdentity(random: Random): NodeIdentityRecord {
  const privateKey = random.bytes(PRIVATE_KEY_BYTES)
  const key = keyOf(privateKey)
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" })
  const toSign = encodeCertificateToSign(publicKey, random.bytes(SERIAL_BYTES))
  return { privateKey, certificate: encodeCertificate(toSign, sign(null, toSign, key)) }
}

const keyOf = (privateKey: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(concatBytes([PKCS8_HEAD, privateKey])), format: "der", type: "pkcs8" })

function identityOf({ privateKey, certificate }: NodeIdentityRecord, path: string): NodeIdentity {
  const key = keyOf(privateKey)
  const parsed = parseCertificate(certificate, path)
  if (!equalBytes(parsed.raw, certificate) || !parsed.checkPrivateKey(key)) throw damaged(path)
  return {
    fingerprint: fingerprintOf(certificate),
    certificatePem: parsed.toString(),
    privateKeyPem: key.export({ format: "pem", type: "pkcs8" }).toString(),
  }
}

function parseCertificate(certificate: Uint8Array, path: string): X509Certificate {
  try {
    return new X509Certificate(certificate)
  } catch (error) {
    throw damaged(path, error)
  }
}

const damaged = (path: string, cause?: unknown): Failure =>
  fail(
    "corruptRecord",
    {
      message:
        "the identity of the node is damaged; restore the file, or remove it and the node's row: " +
        "the node then joins with another identity",
      path,
    },
    cause,
  )
