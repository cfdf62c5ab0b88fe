/** Tests of what watchers see of a request, and which of them their filters let through. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { RequestFilter } from "@hayloft/engine/format/nodes/live-report.js"
import { liveRequestOf, passes } from "./live-request-core.js"
import { LiveRequests, TRACE_LIMITS } from "./requests.js"
import { Traffic } from "./traffic.js"

const SUBJECT = { bucketName: "photos", keyText: "cats/é.jpg", accountId: "team", admittedTo: "photos" }

const requestOf = (more: Partial<FinishedRequest> = {}): FinishedRequest => ({
  requestId: "00000000000000AA",
  method: "GET",
  rawTarget: "/photos/cats/%C3%A9.jpg?X-Amz-Signature=secret",
  status: 200,
  notes: { operation: "GetObject", bucket: "photos", accessKeyId: "AKIA1" },
  subject: SUBJECT,

  remoteAddress: "192.0.2.1",
  tlsVersion: undefined,
  receivedBytes: 0,
  sentBytes: 7,
  clientGone: false,
  polledMs: 0,
  timing: { totalMs: 12.5, turnaroundMs: 4, fields: () => ({ authMs: 1, metaMs: 2, totalMs: 12.5 }) },
  header: name => (name === "user-agent" ? "curl/8" : "a secret"),
  httpVersion: "1.1",
  tlsCipher: undefined,
  answerHeader: () => undefined,
  ...more,
})

const shown = (more: Partial<FinishedRequest> = {}) => liveRequestOf("s3", 5, requestOf(more))

test("a request is shown with its stages, caller and client, and without its query or headers", () => {
  assert.deepEqual(shown(), {
    atMs: 5,
    server: "s3",
    requestId: "00000000000000AA",
    method: "GET",
    operation: "GetObject",
    path: "/photos/cats/%C3%A9.jpg",
    bucket: "photos",
    key: "cats/é.jpg",
    status: 200,
    totalMs: 12.5,
    authMs: 1,
    metaMs: 2,
    receivedBytes: 0,
    sentBytes: 7,
    account: "team",
    accessKeyId: "AKIA1",
    remoteAddress: "192.0.2.1",
    userAgent: "curl/8",
  })
  assert.ok(!JSON.stringify(shown()).includes("secret"))
})

test("a failure is shown with its code and reason; a request without a response has status 0", () => {
  const failure = fail("noSuchKey")
  const { code, reason } = shown({ status: 404, notes: { failure: "NoSuchKey" }, subject: { ...SUBJECT, failure } })
  assert.equal(code, "NoSuchKey")
  assert.match(reason ?? "", /the key does not exist/)
  const gone = shown({ status: undefined, clientGone: true, subject: undefined, notes: {} })
  assert.deepEqual([gone.status, gone.clientGone, gone.operation, gone.bucket], [0, true, "none", undefined])
})

test("the reason of a refused signature names the key, and shows neither the signature nor the text that it signs", () => {
  const failure = fail("signatureMismatch", {
    accessKeyId: "AKIA1",
    signatureProvided: "s3cret",
    stringToSign: "AWS4-HMAC-SHA256\ns3cret",
    canonicalRequest: "GET\n/photos\nX-Amz-Security-Token=s3cret",
  })
  const line = shown({ status: 403, notes: { failure: "SignatureDoesNotMatch" }, subject: { ...SUBJECT, failure } })
  assert.equal(line.reason, "the signature does not match (accessKeyId AKIA1)")
  assert.ok(!JSON.stringify(line).includes("s3cret"))
})

test("texts that a client chooses are cut", () => {
  const long = "x".repeat(10_000)
  const subject = { bucketName: long, keyText: long }
  const line = shown({ rawTarget: `/${long}`, method: long, subject, notes: { operation: "x" }, header: () => long })
  assert.ok(JSON.stringify(line).length < 3_000)
})

const FILTERS: readonly (readonly [filter: RequestFilter, passes: boolean])[] = [
  [{}, true],
  [{ server: "s3" }, true],
  [{ server: "admin" }, false],
  [{ operation: "getobject" }, true],
  [{ operation: "GetObj" }, false],
  [{ bucket: "photos" }, true],
  [{ bucket: "photo" }, false],
  [{ prefix: "cats/" }, true],
  [{ prefix: "dogs/" }, false],
  [{ status: "2" }, true],
  [{ status: "200" }, true],
  [{ status: "4" }, false],
  [{ minMs: 12.5 }, true],
  [{ minMs: 13 }, false],
  [{ account: "team" }, true],
  [{ account: "AKIA1" }, true],
  [{ account: "AKIA" }, false],
  [{ address: "192.0.2.1" }, true],
  [{ address: "192.0.2.2" }, false],
  [{ errorsOnly: true }, false],
  [{ bucket: "photos", minMs: 20 }, false],
]
for (const [filter, expected] of FILTERS) {
  test(`filter ${JSON.stringify(filter)}: ${expected ? "shown" : "not shown"}`, () => {
    assert.equal(passes(filter, shown()), expected)
  })
}

test("errors only: answered with an error, or not at all", () => {
  const statuses = [200, 304, 400, 404, 503, undefined]
  const passed = statuses.filter(status => passes({ errorsOnly: true }, shown({ status })))
  assert.deepEqual(passed, [400, 404, 503, undefined])
})

test("nothing is made of a request while nobody watches; a watcher sees only what ends while it watches", () => {
  const clock = new SimClock()
  const requests = new LiveRequests(clock, new Traffic(clock))
  let reads = 0
  const counted = requestOf({ header: () => void (reads += 1) })
  requests.finished("s3", counted)
  assert.equal(reads, 0)
  const seen: unknown[] = []
  const end = requests.watch({ bucket: "photos" }, ({ requestId }) => seen.push(requestId))
  requests.finished("s3", counted)
  requests.finished("s3", requestOf({ subject: undefined, notes: {} }))
  end()
  requests.finished("s3", counted)
  assert.deepEqual(seen, ["00000000000000AA"])
})

const QUESTION = { trace: "n2 1", filter: { bucket: "photos" } }

test("a trace of another node gets what has ended since it asked last, by its filter", () => {
  const clock = new SimClock()
  const requests = new LiveRequests(clock, new Traffic(clock))
  requests.finished("s3", requestOf())
  assert.deepEqual(requests.answer(QUESTION), { requests: [], dropped: 0 })
  requests.finished("s3", requestOf({ requestId: "00000000000000AB" }))
  requests.finished("s3", requestOf({ subject: undefined, notes: {} }))
  const { requests: found, dropped } = requests.answer(QUESTION)
  assert.deepEqual([found.map(({ requestId }) => requestId), dropped], [["00000000000000AB"], 0])
  assert.deepEqual(requests.answer(QUESTION), { requests: [], dropped: 0 })
})

test("what a trace of another node does not fetch is dropped beyond a limit and counted, and the trace ends", async () => {
  const clock = new SimClock()
  const requests = new LiveRequests(clock, new Traffic(clock))
  requests.answer(QUESTION)
  const long = { bucketName: "photos", keyText: "k".repeat(1_024) }
  for (let n = 0; n < 2 * TRACE_LIMITS.requestsMax; n += 1) requests.finished("s3", requestOf({ subject: long }))
  const { requests: found, dropped } = requests.answer(QUESTION)
  assert.equal(found.length + dropped, 2 * TRACE_LIMITS.requestsMax)
  assert.ok(JSON.stringify(found).length < 1024 * 1024 && found.length > 50, `${found.length}`)
  let reads = 0
  const counted = requestOf({ header: () => void (reads += 1) })
  await clock.advance(TRACE_LIMITS.idleMs + 1)
  requests.finished("s3", counted)
  requests.finished("s3", counted)
  assert.equal(reads, 1, "once for the first request: the watch has ended")
  for (let n = 0; n < TRACE_LIMITS.tracesMax; n += 1) requests.answer({ ...QUESTION, trace: `n3 ${n}` })
  assert.throws(() => requests.answer(QUESTION), /traces of other nodes are open/)
})

test("on the admin port only requests of S3, IAM and KMS are traffic", () => {
  const clock = new SimClock()
  const traffic = new Traffic(clock)
  const requests = new LiveRequests(clock, traffic)
  requests.finished("admin", requestOf({ subject: undefined, notes: {} }))
  requests.finished("admin", requestOf())
  const { total, buckets, accounts } = traffic.counts("minute")
  assert.deepEqual([total.requests, buckets[0]?.name, accounts[0]?.name], [1, "photos", "team"])
})
