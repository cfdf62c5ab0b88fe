/** Every failure as S3 reports it. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fail, FAILURES } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { s3ErrorOf, S3_FAILURES } from "./failures.js"

const isKind = (name: string): name is FailureKind => name in FAILURES
const kinds = Object.keys(FAILURES).filter(isKind)

/** Only the objects of one bucket: others can be read, and these once the operator has brought back the key or the remote. */
const STATUSES: { readonly [kind in FailureKind]?: number } = { keysUnavailable: 503, remoteRefused: 502 }

test("every kind has a code and an error status, and retryable failures have a retryable status", () => {
  for (const kind of kinds) {
    const { code, status } = S3_FAILURES[kind]
    assert.match(code, /^(KMS\.)?[A-Z][A-Za-z0-9]+$/, kind)
    assert.ok(status >= 300, kind)
    const { remedy } = FAILURES[kind]
    if (remedy === "fixRequest" || remedy === "signIn") assert.ok(status < 500 || status === 501, kind)
    const expected = STATUSES[kind] ?? 500
    if (remedy === "repair" || remedy === "reportBug" || remedy === "askOperator") assert.equal(status, expected, kind)
  }
  assert.deepEqual([S3_FAILURES.tooManyInFlight.code, S3_FAILURES.tooManyInFlight.retryAfterSeconds], ["SlowDown", 1])
  assert.equal(S3_FAILURES.deviceFull.status, 507)
})

/** Their messages are for clients: what is not built, why one has to wait, and which key service or remote store an operator must look at. */
const SPOKEN: readonly FailureKind[] = [
  "notImplemented",
  "rateExceeded",
  "keyServiceUnavailable",
  "remoteUnavailable",
  "remoteRefused",
]

test("details of internal failures are not shown", () => {
  for (const kind of kinds.filter(one => S3_FAILURES[one].status >= 500)) {
    const error = s3ErrorOf(fail(kind, { message: "needle 17 of volume 4", path: "/data/disk1", sizeBytes: 5 }))
    assert.equal(error.message.includes("needle 17"), SPOKEN.includes(kind), kind)
    assert.ok(!JSON.stringify(error).includes("disk1"), kind)
    assert.deepEqual(error.fields, [], kind)
  }
})

test("the message names the argument that is not valid", () => {
  const named = s3ErrorOf(fail("invalidArgument", { argumentName: "x-amz-if-match-size", argumentValue: "abc" }))
  assert.equal(named.message, "The value of x-amz-if-match-size is not valid")
  const own = s3ErrorOf(fail("invalidArgument", { argumentName: "max-keys", message: "too many" }))
  assert.equal(own.message, "too many")
})

test("the fields that tools read are present", () => {
  const range = s3ErrorOf(fail("invalidRange", { sizeBytes: 26 }))
  assert.deepEqual(range.fields, [["ActualObjectSize", "26"]])
  assert.deepEqual(range.headers, [["Content-Range", "bytes */26"]])
  const marker = s3ErrorOf(fail("isDeleteMarker", { versionId: "v", lastModifiedMs: 0 }))
  assert.deepEqual(Object.fromEntries(marker.headers), {
    Allow: "DELETE",
    "x-amz-delete-marker": "true",
    "x-amz-version-id": "v",
    "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT",
  })
  const deleted = s3ErrorOf(fail("noSuchKey", { versionId: "v", deleteMarker: true }))
  assert.deepEqual([deleted.status, Object.fromEntries(deleted.headers)["x-amz-delete-marker"]], [404, "true"])
  const unchanged = s3ErrorOf(fail("notModified", { etag: "e", lastModifiedMs: 0 }))
  assert.deepEqual([unchanged.status, Object.fromEntries(unchanged.headers)["ETag"]], [304, '"e"'])
  assert.equal(s3ErrorOf(fail("malformedAuthorization", { form: "query" })).code, "AuthorizationQueryParametersError")
  assert.equal(s3ErrorOf(fail("signatureMismatch", { stringToSign: "s", canonicalRequest: "c" })).fields.length, 2)
})
