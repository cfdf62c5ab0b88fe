/**
 * Requests captured from real clients, byte for byte: pyarrow 22 (AWS SDK for C++ 1.11), minio-js
 * 8.0.7 and mc (March 2025). The programs themselves are not needed.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import type { Call } from "../../conformance/client.js"
import { exchange, parseEndpoint } from "../../conformance/raw-client.js"
import type { Header } from "../../conformance/raw-client.js"
import { UNSIGNED_PAYLOAD } from "../../conformance/sign-v4.js"
import { text } from "../../conformance/xml.js"
import { OWNER, serveModel } from "../s3/over-model.js"
import type { Served } from "../s3/over-model.js"

const BUCKET = "bucket"
let served: Served
let client: Client

before(async () => {
  served = await serveModel()
  client = new Client(parseEndpoint(served.endpoint), { accessKey: OWNER.id, secretKey: OWNER.secret }, "us-east-1")
  assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
  assert.equal((await client.call("PUT", { bucket: BUCKET, key: "key", body: "body" })).status, 200)
  await client.call("DELETE", { bucket: BUCKET, query: "publicAccessBlock" })
})
after(() => served.stop())

const openToAll = (action: string, resource: string): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: { Effect: "Allow", Principal: "*", Action: action, Resource: `arn:aws:s3:::${resource}` },
  })

const SDK_CPP: readonly Header[] = [
  ["Accept", "*/*"],
  ["amz-sdk-invocation-id", "323C7310-0000-4000-A788-1B5800000000"],
  ["amz-sdk-request", "attempt=1"],
  ["content-type", "application/xml"],
  ["user-agent", "aws-sdk-cpp/1.11.900 ua/2.1 api/S3 lang/c++#C++11 md/aws-crt#0.44.1 md/http#curl m/Z,b,P"],
  ["x-amz-api-version", "2006-03-01"],
]

test("pyarrow: the AWS SDK for C++ finds and lists objects, signed and unsigned, and writes them in parts, signed", async () => {
  const asks = async (call: Partial<Call>): Promise<void> => {
    const ask = (method: string, more: Call) =>
      client.call(method, { bucket: BUCKET, headers: SDK_CPP, ...call, ...more })
    assert.equal((await ask("HEAD", { key: "key" })).status, 200)
    assert.equal((await ask("HEAD", { key: "absent" })).status, 404)
    const listing = "list-type=2&delimiter=%2F&max-keys=1&prefix=key%2F"
    assert.equal((await ask("GET", { query: listing })).status, 200)
    const begun = await ask("POST", { key: "written", query: "uploads" })
    if (call.anonymous === true) return assert.equal(`${begun.status} ${text(begun.text, "Code")}`, "403 AccessDenied")
    assert.equal(begun.status, 200, begun.text)
    assert.ok(text(begun.text, "UploadId"))
  }
  await asks({ sign: { unsignedHeaders: ["accept"] } })
  const put = (body: string) => client.call("PUT", { bucket: BUCKET, query: "policy", body })
  assert.equal((await put(openToAll("s3:*", `${BUCKET}*`))).status, 204)
  await asks({ anonymous: true })
  assert.equal((await client.call("DELETE", { bucket: BUCKET, query: "policy" })).status, 204)
})

test("pyarrow: a header unknown to S3 must be signed too", async () => {
  const sign = { unsignedHeaders: ["x-amz-api-version"] }
  const answer = await client.call("GET", { bucket: BUCKET, key: "key", headers: SDK_CPP, sign })
  assert.equal(`${answer.status} ${text(answer.text, "Code")}`, "403 AccessDenied")
})

test("minio-js: ?versioning without Content-MD5, over plain HTTP and as it signs over TLS", async () => {
  const body = (status: string) =>
    `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`
  const call = { bucket: BUCKET, query: "versioning" }
  assert.equal((await client.call("PUT", { ...call, body: body("Enabled") })).status, 200)
  const sign = { payloadHash: UNSIGNED_PAYLOAD }
  assert.equal((await client.call("PUT", { ...call, body: body("Suspended"), sign })).status, 200)
  assert.equal(text((await client.call("GET", call)).text, "Status"), "Suspended")
})

interface HandlerRequest {
  readonly method: string
  readonly target: string
  readonly signed: boolean
}

async function toldTo({ method, target, signed }: HandlerRequest): Promise<string> {
  const [path = "", query = ""] = target.split("?")
  const { request } = client.prepare(method, { path, query, anonymous: !signed })
  const answer = await exchange(client.endpoint, request)
  assert.equal(`${answer.status} ${text(answer.text, "Code")}`, "501 NotImplemented", answer.text)
  return text(answer.text, "Message") ?? ""
}

test("mc ready is answered; mc admin without a signature and mc watch: the answer names the alternative", async () => {
  for (const path of ["cluster", "ready", "live"]) {
    const answer = await client.call("GET", { path: `/minio/health/${path}`, anonymous: true })
    assert.deepEqual([answer.status, answer.text], [200, '{"status":"ok","reasons":[]}\n'])
  }
  const ofCluster = { method: "GET", target: "/minio/health/cluster?maintenance=false", signed: false }
  assert.match(await toldTo(ofCluster), /hayloft status/)
  for (const [method, path] of [
    ["GET", "metrics?types=1&n=1&metrics"],
    ["PUT", "site-replication/add"],
    ["GET", "a-call-of-later"],
  ] as const) {
    const target = `/minio/admin/v3/${path}`
    assert.match(await toldTo({ method, target, signed: false }), /needs a signature/)
  }
  // The client signs these in the order in which it sends them, not sorted by value.
  const events = "events=s3%3AObjectCreated%3A%2A&events=s3%3AObjectRemoved%3A%2A&events=s3%3AObjectAccessed%3A%2A"
  for (const signed of [true, false]) {
    const target = `/${BUCKET}?${events}&ping=10&prefix=&suffix=`
    assert.match(await toldTo({ method: "GET", target, signed }), /mc watch/)
  }
})

test("mc: a bucket called minio has no special meaning", async () => {
  for (const key of ["health/ready", "admin/v3/info"]) {
    await client.call("PUT", { bucket: "minio" })
    assert.equal((await client.call("PUT", { bucket: "minio", key, body: key })).status, 200)
    assert.equal((await client.call("GET", { bucket: "minio", key })).text, key)
    assert.equal((await client.call("GET", { bucket: "minio", key: `${key}/absent` })).status, 404)
  }
})

test("mc anonymous set: the answer names the block that forbids it, and the remedy", async () => {
  await client.call("PUT", { bucket: "closed" })
  const body = openToAll("s3:GetObject", "closed/*")
  const refused = await client.call("PUT", { bucket: "closed", query: "policy", body })
  assert.equal(refused.status, 403)
  assert.match(text(refused.text, "Message") ?? "", /aws s3api delete-public-access-block --bucket closed/)
  assert.equal((await client.call("DELETE", { bucket: "closed", query: "publicAccessBlock" })).status, 204)
  assert.equal((await client.call("PUT", { bucket: "closed", query: "policy", body })).status, 204)
})
