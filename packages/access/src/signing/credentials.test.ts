import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAuthorization, parseVersion2Authorization } from "./credentials.js"

const BEGINNING =
  "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature="
const [ONE, OTHER] = ["0123456789abcdef".repeat(4), "f".repeat(64)]

const refused = (value: string) =>
  assert.throws(
    () => parseAuthorization(value),
    error => isFailure(error, "malformedAuthorization"),
  )

test("a cached beginning is parsed the same, each time with its own signature", () => {
  const first = parseAuthorization(BEGINNING + ONE)
  assert.deepEqual(first, {
    form: "header",
    accessKeyId: "AKIA",
    scope: { day: "20260102", region: "us-east-1", service: "s3" },
    signedHeaders: ["host", "x-amz-date"],
    signature: ONE,
  })
  assert.deepEqual(parseAuthorization(BEGINNING + OTHER), { ...first, signature: OTHER })
})

test("a cached beginning never admits an invalid header", () => {
  parseAuthorization(BEGINNING + ONE)
  refused(BEGINNING)
  refused(`${BEGINNING + ONE}, Signature=${OTHER}`)
  refused(`${BEGINNING + ONE}, Unknown=1`)
  refused(BEGINNING.replace("AWS4", "AWS5") + ONE)
  // The cache is used only if the header ends with a single Signature=.
  refused(`${BEGINNING}, Signature=${ONE}`)
  assert.equal(parseAuthorization(BEGINNING + ONE.toUpperCase()).signature, ONE.toUpperCase())
})

test("more clients than the cache holds are all parsed", () => {
  for (let n = 0; n < 2_500; n += 1) {
    const { accessKeyId, signature } = parseAuthorization(BEGINNING.replace("AKIA", `AKIA${n}`) + ONE)
    assert.deepEqual([accessKeyId, signature], [`AKIA${n}`, ONE])
  }
})

test("a header of version 2 with a million blanks is refused at once", () => {
  assert.throws(
    () => parseVersion2Authorization(`AWS${" ".repeat(1_000_000)}`),
    error => isFailure(error, "invalidArgument"),
  )
  assert.deepEqual(parseVersion2Authorization("AWS  AKIA:c2ln"), { accessKeyId: "AKIA", signature: "c2ln" })
})
