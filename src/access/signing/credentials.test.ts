import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "../../base/failures.js"
import { parseAuthorization } from "./credentials.js"

const BEGINNING =
  "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature="
const [ONE, OTHER] = ["0123456789abcdef".repeat(4), "f".repeat(64)]

const refused = (value: string) =>
  assert.throws(
    () => parseAuthorization(value),
    error => isFailure(error, "malformedAuthorization"),
  )

test("a beginning that was seen before is read the same, each time with the signature behind it", () => {
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

test("nothing is let through because its beginning was good once", () => {
  parseAuthorization(BEGINNING + ONE)
  refused(BEGINNING)
  refused(`${BEGINNING + ONE}, Signature=${OTHER}`)
  refused(`${BEGINNING + ONE}, Unknown=1`)
  refused(BEGINNING.replace("AWS4", "AWS5") + ONE)
  // The last one that says Signature= counts only where it ends the header and stands alone.
  refused(`${BEGINNING}, Signature=${ONE}`)
  assert.equal(parseAuthorization(BEGINNING + ONE.toUpperCase()).signature, ONE.toUpperCase())
})

test("more clients than are remembered are all read", () => {
  for (let n = 0; n < 2_500; n += 1) {
    const { accessKeyId, signature } = parseAuthorization(BEGINNING.replace("AKIA", `AKIA${n}`) + ONE)
    assert.deepEqual([accessKeyId, signature], [`AKIA${n}`, ONE])
  }
})
