/** Identities of nodes: a certificate that says nothing but its key, and another one at each start. */
import assert from "node:assert/strict"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { test } from "node:test"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { makeIdentity } from "./node-identity.js"

test("the fingerprint is that of the certificate, which belongs to the key", () => {
  const { certificatePem, privateKeyPem, fingerprint } = makeIdentity(new SimRandom(1))
  const certificate = new X509Certificate(certificatePem)
  assert.equal(certificate.fingerprint256.replaceAll(":", "").toLowerCase(), fingerprint)
  assert.ok(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)))
})

test("two starts have different keys, serial numbers and fingerprints", () => {
  const random = new SimRandom(1)
  const [a, b] = [makeIdentity(random), makeIdentity(random)]
  assert.notEqual(a.fingerprint, b.fingerprint)
  assert.notEqual(a.privateKeyPem, b.privateKeyPem)
  const [first, second] = [a, b].map(one => new X509Certificate(one.certificatePem).serialNumber)
  assert.notEqual(first, second)
})
