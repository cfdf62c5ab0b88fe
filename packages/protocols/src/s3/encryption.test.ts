/** The headers of encryption: what they state, what is refused and how, and what answers show. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { asFailure } from "@hayloft/base/failures.js"
import type { ShownEncryption } from "@hayloft/objects/contract.js"
import { hashOnce } from "@hayloft/base/seams/compute/hashes.js"
import { checkNoMethod, clientKeyIn, encryptionFields, encryptionIn, sourceKeyIn } from "./encryption.js"
import { s3ErrorOf } from "./failures.js"

const SSE = "x-amz-server-side-encryption"
const KEY_ID = `${SSE}-aws-kms-key-id`
const CONTEXT = `${SSE}-context`
const BUCKET_KEY = `${SSE}-bucket-key-enabled`

const key = Buffer.alloc(32, 7)
const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("base64")

function customer(prefix: string, parts: { algorithm?: string; key?: string; md5?: string } = {}) {
  const all = { algorithm: "AES256", key: key.toString("base64"), md5: md5Of(key), ...parts }
  return {
    [`${prefix}-customer-algorithm`]: all.algorithm,
    [`${prefix}-customer-key`]: all.key,
    [`${prefix}-customer-key-md5`]: all.md5,
  }
}

const without = (headers: Record<string, string>, ending: string): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.endsWith(ending)))

const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64")
const stated = (headers: Record<string, string>) => encryptionIn(new Map(Object.entries(headers)), hashOnce)

function refusal(work: () => unknown): { readonly code: string; readonly message: string; readonly text: string } {
  try {
    work()
  } catch (error) {
    const failure = asFailure(error)
    const { code, message } = s3ErrorOf(failure)
    return { code, message, text: JSON.stringify([failure.message, failure.details]) }
  }
  return assert.fail("accepted")
}

test("a request states SSE-S3, SSE-KMS, SSE-C, or nothing", () => {
  assert.deepEqual(stated({}), { mode: "default", usesBucketKey: undefined })
  assert.deepEqual(stated({ [BUCKET_KEY]: "True" }), { mode: "default", usesBucketKey: true })
  assert.deepEqual(stated({ [SSE]: "AES256" }), { mode: "s3" })
  // Correctly without effect, as in the setting of a bucket.
  assert.deepEqual(stated({ [SSE]: "AES256", [BUCKET_KEY]: "true" }), { mode: "s3" })
  const kms = { mode: "kms", keyId: undefined, context: {}, usesBucketKey: undefined }
  assert.deepEqual(stated({ [SSE]: "aws:kms" }), kms)
  assert.deepEqual(stated({ [SSE]: "aws:kms", [KEY_ID]: "alias/a", [CONTEXT]: json({ b: "2", a: "é" }) }), {
    ...kms,
    keyId: "alias/a",
    context: { a: "é", b: "2" },
  })
  assert.deepEqual(stated({ [SSE]: "aws:kms", [BUCKET_KEY]: "false" }), { ...kms, usesBucketKey: false })
  const client = stated(customer(SSE))
  assert.ok(client.mode === "client" && key.equals(client.key))
})

const COMPLETE = customer(SSE)
const KEY_ERROR = "Requests specifying Server Side Encryption with Customer provided keys must provide"
const CONTEXT_ERROR = `The header '${CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map`
const NEEDS_KMS = `Server Side Encryption with AWS KMS managed key requires HTTP header ${SSE} : aws:kms`

/** S3's answers, see "Source" in the module. */
const REFUSED: readonly (readonly [headers: Record<string, string>, code: string, message: string])[] = [
  [{ [SSE]: "aes256" }, "InvalidArgument", "The encryption method specified is not supported"],
  [{ [SSE]: "" }, "InvalidArgument", "The encryption method specified is not supported"],
  [{ [SSE]: "aws:fsx" }, "InvalidArgument", "The encryption method specified is not supported"],
  [{ [SSE]: "aws:kms:dsse" }, "NotImplemented", "Dual-layer server-side encryption (aws:kms:dsse) is not implemented."],
  [{ [KEY_ID]: "k" }, "InvalidArgument", NEEDS_KMS],
  [{ [SSE]: "AES256", [KEY_ID]: "k" }, "InvalidArgument", NEEDS_KMS],
  [{ [SSE]: "AES256", [CONTEXT]: json({}) }, "InvalidArgument", NEEDS_KMS],
  [{ [SSE]: "aws:kms", [BUCKET_KEY]: "yes" }, "InvalidArgument", `Value for ${BUCKET_KEY} header is invalid.`],
  [{ [SSE]: "aws:kms", [KEY_ID]: "k".repeat(2049) }, "InvalidArgument", `${KEY_ID} is too long.`],
  ...["{}", "AAAA", json([]), json({ a: 1 }), json("a"), json(null), "e30", json({ a: "x".repeat(2048) })].map(
    value => [{ [SSE]: "aws:kms", [CONTEXT]: value }, "InvalidArgument", CONTEXT_ERROR] as const,
  ),
  [
    { [SSE]: "aws:kms", [CONTEXT]: json({ "aws:s3:arn": "arn:aws:s3:::other/key" }) },
    "InvalidArgument",
    "The context must not contain 'aws:s3:arn'",
  ],
  [
    { ...COMPLETE, [SSE]: "AES256" },
    "InvalidArgument",
    "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
  ],
  [without(COMPLETE, "-algorithm"), "InvalidArgument", `${KEY_ERROR} a valid encryption algorithm.`],
  [without(COMPLETE, "-key"), "InvalidArgument", `${KEY_ERROR} an appropriate secret key.`],
  [without(COMPLETE, "-md5"), "InvalidArgument", `${KEY_ERROR} the client calculated MD5 of the secret key.`],
  [
    customer(SSE, { algorithm: "AES128" }),
    "InvalidEncryptionAlgorithmError",
    "The Encryption request you specified is not valid. Supported value: AES256.",
  ],
  [
    customer(SSE, { md5: md5Of(Buffer.alloc(32, 8)) }),
    "InvalidArgument",
    "The calculated MD5 hash of the key did not match the hash that was provided.",
  ],
  [
    customer(SSE, { md5: "not base64" }),
    "InvalidArgument",
    "The calculated MD5 hash of the key did not match the hash that was provided.",
  ],
  ...[16, 31, 33, 0].map(
    length =>
      [
        customer(SSE, { key: Buffer.alloc(length).toString("base64"), md5: md5Of(Buffer.alloc(length)) }),
        "InvalidArgument",
        "The secret key was invalid for the specified algorithm.",
      ] as const,
  ),
  [customer(SSE, { key: "not base64" }), "InvalidArgument", "The secret key was invalid for the specified algorithm."],
]

test("what is incomplete, contradictory or not built is refused as S3 does", () => {
  for (const [headers, code, message] of REFUSED) {
    const refused = refusal(() => stated(headers))
    assert.deepEqual([refused.code, refused.message], [code, message], JSON.stringify(headers))
  }
})

test("no failure contains the key of a client", () => {
  for (const [headers] of REFUSED) {
    const secret = headers[`${SSE}-customer-key`]
    if (secret === undefined || secret === "") continue
    assert.ok(!refusal(() => stated(headers)).text.includes(secret), JSON.stringify(headers))
  }
})

test("the key of the source of a copy has headers of its own", () => {
  const source = new Map(Object.entries(customer("x-amz-copy-source-server-side-encryption")))
  assert.ok(key.equals(sourceKeyIn(source, hashOnce) ?? new Uint8Array()))
  assert.equal(clientKeyIn(source, hashOnce), undefined)
  source.delete("x-amz-copy-source-server-side-encryption-customer-key-md5")
  assert.equal(refusal(() => sourceKeyIn(source, hashOnce)).code, "InvalidArgument")
})

test("a read that states a method is refused, and one that brings a key is not", () => {
  checkNoMethod(new Map(Object.entries(COMPLETE)))
  for (const name of [SSE, KEY_ID, CONTEXT, BUCKET_KEY]) {
    const { code, message } = refusal(() => checkNoMethod(new Map([[name, "AES256"]])))
    assert.deepEqual([code, message], ["InvalidArgument", `${name} header is not supported for this operation.`])
  }
})

test("answers show the mode, and its key", () => {
  const headers = new Map(Object.entries(COMPLETE))
  const kms: ShownEncryption = { mode: "kms", keyArn: "arn:k", usesBucketKey: false, context: '{"a":"1"}' }
  const ofKms = [
    [SSE, "aws:kms"],
    [KEY_ID, "arn:k"],
  ]
  assert.deepEqual(encryptionFields(undefined, headers), [])
  assert.deepEqual(encryptionFields({ mode: "s3" }, new Map()), [[SSE, "AES256"]])
  assert.deepEqual(encryptionFields(kms, new Map()), ofKms)
  assert.deepEqual(encryptionFields({ ...kms, usesBucketKey: true }, new Map()), [...ofKms, [BUCKET_KEY, "true"]])
  assert.deepEqual(encryptionFields(kms, new Map(), { context: true }), [...ofKms, [CONTEXT, json({ a: "1" })]])
  assert.deepEqual(encryptionFields({ mode: "client" }, headers), [
    [`${SSE}-customer-algorithm`, "AES256"],
    [`${SSE}-customer-key-MD5`, md5Of(key)],
  ])
  assert.deepEqual(encryptionFields({ mode: "client" }, headers, { clientKey: false }), [])
})
