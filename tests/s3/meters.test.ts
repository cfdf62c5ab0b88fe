/** Which figures the metrics report for buckets and accounts, and which they omit. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import { formBody, post, signOldForm } from "../../conformance/forms.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { presignV2, signedV2 } from "../../conformance/sign-v2.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { RequestMeters } from "@hayloft/protocols/signed/index.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import { handleModel, OWNER, OWNER_ACCOUNT, serveModel, STRANGER, STRANGER_ACCOUNT } from "./over-model.js"
import type { Served } from "./over-model.js"

let served: Served
before(async () => {
  served = await serveModel()
})
after(() => served.stop())

const clientOf = ({ id, secret }: typeof OWNER): Client =>
  new Client(parseEndpoint(served.endpoint), { accessKey: id, secretKey: secret }, "us-east-1")

/** Requests, errors of both kinds, bytes in and out. */
function figuresOf(label: "bucket" | "account", name: string): readonly number[] {
  const of = (what: string, more = {}) =>
    served.telemetry.metric(`hayloft_${label}_${what}_total`, { [label]: name, ...more })
  const errors = [of("errors", { status: "4xx" }), of("errors", { status: "5xx" })]
  return [of("requests"), ...errors, of("received_bytes"), of("sent_bytes")]
}

test("a busy server asks for the account of any target, and gets none for a malformed one", () => {
  const { handler } = handleModel()
  const shapes = new HeaderShapes()
  for (const rawTarget of ["*", "no-slash", "http://", "/%zz?X-Amz-Credential=%zz", "/?X-Amz-Credential=%"]) {
    const headers = shapes.ofFlat(["host", "h"])
    assert.equal(handler.accountOf?.({ rawTarget, headers }), undefined, rawTarget)
  }
})

test("requests are counted by bucket and by account, with their errors and bytes", async () => {
  const [owner, stranger] = [clientOf(OWNER), clientOf(STRANGER)]
  const target = { bucket: "mine", key: "k" }
  await owner.call("PUT", { bucket: "mine" })
  await owner.call("PUT", { ...target, body: "12345" })
  const got = await owner.call("GET", target)
  const missing = await owner.call("GET", { bucket: "mine", key: "missing" })
  const refused = await owner.call("PUT", { bucket: "mine", query: "replication", body: "x" })
  assert.deepEqual([got.status, missing.status, refused.status], [200, 404, 501])
  assert.deepEqual(figuresOf("bucket", "mine"), [3, 1, 0, 5, 5 + missing.body.length])
  const [requests, clientErrors, ownErrors, received] = figuresOf("account", OWNER_ACCOUNT)
  assert.deepEqual(
    [requests, clientErrors, ownErrors],
    [5, 1, 1],
    "the creation of the bucket and refused requests are counted too",
  )
  assert.ok((received ?? 0) >= 5)

  await stranger.call("GET", target)
  await owner.call("GET", { ...target, anonymous: true })
  await owner.call("GET", { ...target, credentials: { accessKey: OWNER.id, secretKey: "wrong" } })
  await stranger.call("GET", { bucket: "no-such-bucket", key: "k" })
  assert.equal(figuresOf("bucket", "mine")[0], 3, "requests without access are not counted for the bucket")
  assert.deepEqual(figuresOf("account", STRANGER_ACCOUNT).slice(0, 3), [2, 2, 0])
  assert.equal(
    figuresOf("account", OWNER_ACCOUNT)[0],
    5,
    "requests with a wrong signature are not counted for the account",
  )
  assert.doesNotMatch(served.telemetry.metrics.render(), /no-such-bucket/)
})

test("requests signed with version 2 are counted, once their signature is verified", async () => {
  const owner = clientOf(OWNER)
  const call = { bucket: "counted", key: "k" }
  await owner.call("PUT", { bucket: call.bucket })
  await owner.call("PUT", { ...call, body: "body" })
  const counted = (form: string) => served.telemetry.metric("hayloft_signature_v2_requests_total", { form })
  assert.equal((await owner.send("GET", presignV2(owner, "GET", call))).text, "body")
  await owner.send("GET", presignV2(owner, "GET", call, { credentials: { accessKey: OWNER.id, secretKey: "wrong" } }))
  await owner.send("GET", owner.presign("GET", call))
  assert.equal(counted("query"), 1)
  assert.equal((await owner.call("GET", signedV2(owner, "GET", call))).text, "body")
  assert.equal(counted("header"), 1)
  const fields = signOldForm(owner.credentials, { bucket: call.bucket, conditions: [{ key: "f" }] })
  const body = formBody([["key", "f"], ...fields], { bytes: "x" })
  assert.equal((await post({ endpoint: served.endpoint, bucket: call.bucket, body })).status, 204)
  assert.equal(counted("form"), 1)
})

test("buckets beyond the limit are counted together", () => {
  const metrics = new MetricsInMemory()
  const meters = new RequestMeters(metrics)
  for (let i = 0; i < 700; i += 1) meters.ofBucket(parseBucketName(`bucket-${i}`)).count(200, 1, 2)
  const value = (name: string) => metrics.value("hayloft_bucket_requests_total", { bucket: name })
  assert.deepEqual(
    [value("bucket-0"), value("bucket-499"), value("bucket-500"), value("(other)")],
    [1, 1, undefined, 200],
  )
  meters.ofBucket(parseBucketName("bucket-3")).count(500, 0, 0)
  assert.equal(value("bucket-3"), 2)
})
