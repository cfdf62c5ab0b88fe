/** A node's certificate: golden bytes, and Node's parser as the reader. */
import assert from "node:assert/strict"
import { createHash, createPrivateKey, createPublicKey, sign, X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { concatBytes, hexOf } from "@hayloft/base/bytes.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { encodeCertificate, encodeCertificateToSign, fingerprintOf } from "./node-certificate.js"

const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")

function certificateOf(seed: Uint8Array, serial: Uint8Array) {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" })
  const publicKey = createPublicKey(key)
  const toSign = encodeCertificateToSign(publicKey.export({ format: "der", type: "spki" }), serial)
  return { publicKey, key, certificate: encodeCertificate(toSign, sign(null, toSign, key)) }
}

/** The first key of RFC 8032, section 7.1. */
const SEED = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex")
const SERIAL = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")

test("certificate v1 is unchanged, byte for byte", () => {
  const url = new URL("../../../../../../packages/engine/src/format/golden/node-certificate-v1.hex", import.meta.url)
  assert.equal(hexOf(certificateOf(SEED, SERIAL).certificate), readFileSync(url, "utf8").replaceAll(/\s/g, ""))
})

test("Node reads each field of a certificate as it was written", () => {
  const { certificate, publicKey, key } = certificateOf(SEED, SERIAL)
  const read = new X509Certificate(certificate)
  assert.deepEqual(read.raw, Buffer.from(certificate), "nothing follows the certificate")
  assert.equal(read.serialNumber, "400102030405060708090A0B0C0D0E0F")
  assert.equal(read.subject, "CN=node")
  assert.equal(read.issuer, "CN=node")
  assert.equal(read.validFrom, "Jan  1 00:00:00 1970 GMT")
  assert.equal(read.validTo, "Dec 31 23:59:59 9999 GMT")
  assert.equal(read.subjectAltName, undefined)
  assert.equal(read.ca, false)
  assert.ok(read.publicKey.equals(publicKey))
  assert.ok(read.checkPrivateKey(key))
  assert.ok(read.verify(publicKey), "the certificate is signed with its own key")
  assert.ok(!read.checkIssued(read), "the key usage allows no certificate to be signed")
})

test("the fingerprint is the SHA-256 of the bytes, as Node computes it", () => {
  const { certificate } = certificateOf(SEED, SERIAL)
  assert.equal(fingerprintOf(certificate), createHash("sha256").update(certificate).digest("hex"))
  const shown = new X509Certificate(certificate).fingerprint256
  assert.equal(fingerprintOf(certificate), shown.replaceAll(":", "").toLowerCase())
})

test("any key and any random bytes give a valid certificate with a positive serial number of 16 bytes", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(
    fc.property(bytes(32), bytes(16), (seed, serial) => {
      const { certificate, publicKey } = certificateOf(seed, serial)
      const read = new X509Certificate(certificate)
      assert.equal(read.serialNumber.length, 32)
      assert.match(read.serialNumber, /^[4-7]/, "the first bit is the sign")
      assert.equal(read.serialNumber.slice(2), hexOf(serial).slice(2).toUpperCase())
      assert.ok(read.verify(publicKey))
    }),
    { numRuns: 50 },
  )
})

test("a flipped bit anywhere in a certificate breaks its encoding, its signature or its fingerprint's match", () => {
  const { certificate, publicKey } = certificateOf(SEED, SERIAL)
  const verifies = (bytes: Uint8Array): boolean => {
    try {
      return new X509Certificate(bytes).verify(publicKey)
    } catch {
      return false
    }
  }
  for (let at = 0; at < certificate.length; at += 1) {
    const flipped = certificate.slice()
    flipped[at] = (flipped[at] ?? 0) ^ 1
    assert.notEqual(fingerprintOf(flipped), fingerprintOf(certificate))
    assert.ok(!verifies(flipped), `byte ${at}`)
  }
  assert.notEqual(fingerprintOf(concatBytes([certificate, new Uint8Array(1)])), fingerprintOf(certificate))
})
