import { test } from "node:test"
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { readFormSignature, verifyFormSignature } from "./form.js"
import { SigningKeys } from "./keys.js"

// The example of "Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)", byte for byte.
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const POLICY =
  "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
const EXAMPLE = {
  policy: POLICY,
  "x-amz-algorithm": "AWS4-HMAC-SHA256",
  "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
  "x-amz-date": "20151229T000000Z",
  "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}
const RULES = { service: "s3", region: undefined, acceptVersion2: false }
type Fields = Readonly<Record<string, string | undefined>>

function read(fields: Fields, rules: Partial<typeof RULES> | { region: string } = {}) {
  const present = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  return readFormSignature(new Map(present), { ...RULES, ...rules })
}

function verify(fields: Fields, rules: Partial<typeof RULES> = {}, secret = SECRET) {
  const claim = read(fields, rules)
  assert.equal(claim.kind, "claim")
  return claim.kind === "claim" ? verifyFormSignature(claim, secret, new SigningKeys()) : undefined
}

const refuses = (work: () => unknown, kind: FailureKind, pattern = /./): void =>
  assert.throws(work, (error: unknown) => {
    assert.ok(isFailure(error, kind), String(error))
    assert.match(error.message, pattern)
    return true
  })

const tokenOf = (claim: ReturnType<typeof read>) => (claim.kind === "claim" ? claim.token : undefined)

test("Amazon's example is verified", () => {
  const verified = verify(EXAMPLE)
  assert.equal(verified?.accessKeyId, "AKIAIOSFODNN7EXAMPLE")
  assert.equal(verified?.form, "form")
})

test("a form with any changed character is refused", () => {
  const signature = EXAMPLE["x-amz-signature"]
  for (const changed of [
    { "x-amz-signature": signature.replace("8", "9") },
    { "x-amz-signature": signature.slice(1) },
    { "x-amz-signature": "" },
    { policy: POLICY.slice(0, -2) },
    { policy: `${POLICY}\n` },
    { "x-amz-credential": EXAMPLE["x-amz-credential"].replace("us-east-1", "us-east-2") },
  ]) {
    refuses(() => verify({ ...EXAMPLE, ...changed }), "signatureMismatch")
  }
  refuses(() => verify(EXAMPLE, {}, `${SECRET}x`), "signatureMismatch")
})

test("a form with any signature field is never anonymous", () => {
  for (const name of Object.keys(EXAMPLE)) {
    refuses(() => read({ ...EXAMPLE, [name]: undefined }), "invalidArgument", /Bucket POST must contain a field named/)
  }
  refuses(() => read({ signature: "x" }, { acceptVersion2: true }), "invalidArgument", /AWSAccessKeyId/)
  refuses(() => read({ signature: "x" }), "invalidRequest", /AWS4-HMAC-SHA256/)
  refuses(() => read({ ...EXAMPLE, awsaccesskeyid: "k" }, { acceptVersion2: true }), "invalidArgument")
  assert.equal(read({ key: "k", policy: POLICY }).kind, "anonymous")
})

test("credential, algorithm, date, region and token are checked", () => {
  const changed = (name: keyof typeof EXAMPLE, value: string) => () => read({ ...EXAMPLE, [name]: value })
  refuses(changed("x-amz-algorithm", "AWS4-HMAC-SHA1"), "invalidArgument")
  refuses(changed("x-amz-credential", "key"), "malformedAuthorization")
  refuses(changed("x-amz-credential", EXAMPLE["x-amz-credential"].replace("s3", "iam")), "malformedAuthorization")
  refuses(changed("x-amz-date", "2015-12-29"), "invalidArgument", /ISO8601/)
  refuses(changed("x-amz-date", "20151230T000000Z"), "malformedAuthorization", /Invalid credential date "20151229"/)
  refuses(() => read(EXAMPLE, { region: "eu-west-1" }), "malformedAuthorization", /eu-west-1/)
  assert.deepEqual(tokenOf(read({ ...EXAMPLE, "x-amz-security-token": "t" })), "t", "for the keyring to check")
  assert.deepEqual(tokenOf(read({ ...EXAMPLE, "x-amz-security-token": "" })), undefined)
})

test("forms signed with version 2 are verified if they are accepted", () => {
  const signature = createHmac("sha1", SECRET).update(POLICY).digest("base64")
  const fields = { policy: POLICY, awsaccesskeyid: "AKIAIOSFODNN7EXAMPLE", signature }
  assert.equal(verify(fields, { acceptVersion2: true })?.accessKeyId, "AKIAIOSFODNN7EXAMPLE")
  refuses(() => verify({ ...fields, policy: POLICY.slice(4) }, { acceptVersion2: true }), "signatureMismatch")
  assert.equal(tokenOf(read({ ...fields, "x-amz-security-token": "t" }, { acceptVersion2: true })), "t")
  refuses(() => read(fields), "invalidRequest")
})
