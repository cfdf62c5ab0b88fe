/** Lines of the access log by Amazon's documented format, and what happens to them when the sink fails. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { accessLineOf, s3OperationOf } from "./access-log-core.js"
import { ACCESS_LOG_LIMITS, AccessLog } from "./access-log.js"

const OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
const HOST_ID = "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234="
const DONE_MS = Date.UTC(2019, 1, 6, 0, 0, 38, 7)

const SUBJECT = {
  bucketName: "pictures",
  admittedTo: "pictures",
  accountId: OWNER,
  requester: OWNER,
  bucketOwner: OWNER,
  signature: { version: "AWS4-HMAC-SHA256", form: "header" },
} as const

interface Headers {
  readonly sent?: Record<string, string>
  readonly answered?: Record<string, string>
}

const requestOf = ({ sent = {}, answered = {}, ...more }: Partial<FinishedRequest> & Headers = {}): FinishedRequest => {
  const request = { "user-agent": "S3Console/0.4", host: "pictures.s3.us-west-1.amazonaws.com", ...sent }
  const answer: Record<string, string> = { "x-amz-id-2": HOST_ID, ...answered }
  return {
    requestId: "3E57427F3EXAMPLE",
    method: "GET",
    rawTarget: "/pictures?versioning",
    httpVersion: "1.1",
    status: 200,
    notes: { operation: "GetBucketVersioning", bucket: "pictures" },
    subject: SUBJECT,
    remoteAddress: "192.0.2.3",
    tlsVersion: "1.2",
    tlsCipher: "ECDHE-RSA-AES128-GCM-SHA256",
    receivedBytes: 0,
    sentBytes: 113,
    clientGone: false,
    polledMs: 0,
    timing: { totalMs: 7, turnaroundMs: 3.4, fields: () => ({ authMs: 1, totalMs: 7 }) },
    header: name => (name in request ? request[name as keyof typeof request] : undefined),
    answerHeader: name => answer[name],
    ...more,
  }
}

const lineOf = (request: FinishedRequest, server = "s3") =>
  accessLineOf("s3", { server, node: undefined, atMs: DONE_MS, request })

test("s3: the first example of Amazon's page", () => {
  assert.equal(
    lineOf(requestOf()),
    `${OWNER} pictures [06/Feb/2019:00:00:38 +0000] 192.0.2.3 ${OWNER} 3E57427F3EXAMPLE REST.GET.VERSIONING - ` +
      `"GET /pictures?versioning HTTP/1.1" 200 - 113 - 7 3 "-" "S3Console/0.4" - ${HOST_ID} SigV4 ` +
      `ECDHE-RSA-AES128-GCM-SHA256 AuthHeader pictures.s3.us-west-1.amazonaws.com TLSv1.2 - -\n`,
  )
})

test("s3: an upload with a version, a presigned read of a range, an anonymous error", () => {
  const put = requestOf({
    method: "PUT",
    rawTarget: "/pictures/2019/%C3%A9%20a.jpg",
    receivedBytes: 4_000,
    sentBytes: 0,
    notes: { operation: "PutObject" },
    subject: { ...SUBJECT, keyText: "2019/é a.jpg" },
    sent: { "x-amz-decoded-content-length": "3900" },
    answered: { "x-amz-version-id": "3HL4kqtJvjVBH40Nrjfkd" },
  })
  assert.match(
    lineOf(put) ?? "",
    / REST\.PUT\.OBJECT 2019\/%C3%A9%20a\.jpg "PUT \/pictures\/2019\/%C3%A9%20a\.jpg HTTP\/1\.1" 200 - - 3900 7 3 "-" "S3Console\/0\.4" 3HL4kqtJvjVBH40Nrjfkd /,
  )
  const rawTarget = "/pictures/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=abc123&X-Amz-Security-Token=tok&partNumber=1"
  const read = requestOf({
    rawTarget,
    status: 206,
    sentBytes: 10,
    notes: { operation: "GetObject" },
    tlsVersion: undefined,
    tlsCipher: undefined,
    subject: { ...SUBJECT, keyText: "k", signature: { version: "AWS", form: "query" } },
    answered: { "content-range": "bytes 0-9/5000" },
  })
  assert.match(
    lineOf(read) ?? "",
    /"GET \/pictures\/k\?X-Amz-Credential=AK%2F1&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED&partNumber=1 HTTP\/1\.1" 206 - 10 5000 .* SigV2 - QueryString pictures\.s3\.us-west-1\.amazonaws\.com - - -\n$/,
  )
  const denied = requestOf({
    status: 403,
    subject: { bucketName: "pictures", keyText: "k" },
    notes: { operation: "HeadObject", failure: "AccessDenied" },
  })
  assert.match(
    lineOf(denied) ?? "",
    /^- pictures \[.*\] 192\.0\.2\.3 - 3E57427F3EXAMPLE REST\.GET\.OBJECT k ".*" 403 AccessDenied 113 - /,
  )
})

test("signatures are hidden in temporary URLs of Swift, under encoded names, and in the page that a browser comes from", () => {
  const query = "a=1&temp_url_sig=s3cret&x%2Damz%2dSignature=s3cret&%zz=&temp_url_expires=9"
  const hidden = "a=1&temp_url_sig=REDACTED&x%2Damz%2dSignature=REDACTED&%zz=&temp_url_expires=9"
  const request = requestOf({
    rawTarget: `/v1/AUTH_1/pictures/k?${query}`,
    sent: { referer: `https://a/page?${query}` },
  })
  const line = lineOf(request) ?? ""
  assert.ok(line.includes(`"GET /v1/AUTH_1/pictures/k?${hidden} HTTP/1.1"`), line)
  assert.ok(line.includes(`"https://a/page?${hidden}"`), line)
  const json = accessLineOf("json", { server: "swift", node: undefined, atMs: DONE_MS, request }) ?? ""
  assert.ok(json.includes(`"https://a/page?${hidden}"`), json)
  assert.doesNotMatch(line + json, /s3cret/)
})

test("s3: requests that name no bucket have no line; nothing that a client sends ends a field or a line", () => {
  assert.equal(lineOf(requestOf({ subject: {}, notes: { operation: "ListBuckets" } })), undefined)
  assert.equal(lineOf(requestOf(), "admin"), undefined)
  const evil = 'x" 200 -\n\r\u0000 é'
  const line = lineOf(
    requestOf({
      subject: { ...SUBJECT, bucketName: evil, keyText: evil },
      rawTarget: `/${evil}`,
      status: undefined,
      sent: { "user-agent": evil, referer: evil, host: evil },
      answered: { "x-amz-version-id": evil },
    }),
  )
  const fields = line?.match(/\[[^\]]*\]|"[^"]*"|\S+/g) ?? []
  assert.equal(fields.length, 26)
  assert.equal(line?.indexOf("\n"), line === undefined ? -1 : line.length - 1)
  assert.match(line ?? "", /^[\x20-\x7e]+\n$/)
  assert.equal(fields[9], "-")
})

const NAMES: readonly (readonly [method: string, operation: string, expected: string])[] = [
  ["GET", "GetObject", "REST.GET.OBJECT"],
  ["HEAD", "HeadBucket", "REST.HEAD.BUCKET"],
  ["GET", "ListObjectsV2", "REST.GET.BUCKET"],
  ["GET", "ListObjectVersions", "REST.GET.BUCKETVERSIONS"],
  ["POST", "DeleteObjects", "REST.POST.MULTI_OBJECT_DELETE"],
  ["POST", "CreateMultipartUpload", "REST.POST.UPLOADS"],
  ["PUT", "UploadPart", "REST.PUT.PART"],
  ["POST", "CompleteMultipartUpload", "REST.POST.UPLOAD"],
  ["PUT", "CopyObject", "REST.COPY.OBJECT"],
  ["PUT", "PutBucketLifecycleConfiguration", "REST.PUT.LIFECYCLE"],
  ["DELETE", "DeleteBucketLifecycle", "REST.DELETE.LIFECYCLE"],
  ["GET", "GetBucketPolicy", "REST.GET.BUCKETPOLICY"],
  ["GET", "GetBucketPolicyStatus", "REST.GET.POLICY_STATUS"],
  ["GET", "GetBucketLogging", "REST.GET.LOGGING_STATUS"],
  ["PUT", "PutPublicAccessBlock", "REST.PUT.PUBLIC_ACCESS_BLOCK"],
  ["PUT", "PutObjectTagging", "REST.PUT.OBJECT_TAGGING"],
  ["GET", "GetBucketTagging", "REST.GET.TAGGING"],
  ["GET", "ListBucketInventoryConfigurations", "REST.GET.INVENTORY"],
]
test("s3: names of operations", () => {
  for (const [method, operation, expected] of NAMES) assert.equal(s3OperationOf("s3", method, operation), expected)
  assert.equal(s3OperationOf("websites", "GET", "GetPage"), "WEBSITE.GET.OBJECT")
})

test("json: what watchers see of a request, with the caller, the version and when it arrived", () => {
  const request = requestOf({ rawTarget: "/pictures/k?X-Amz-Signature=secret", sent: { referer: "https://a/" } })
  const line = accessLineOf("json", { server: "s3", node: "n1", atMs: DONE_MS, request })
  assert.deepEqual(JSON.parse(line ?? ""), {
    time: "2019-02-06T00:00:38.000Z",
    node: "n1",
    server: "s3",
    requestId: "3E57427F3EXAMPLE",
    method: "GET",

    operation: "GetBucketVersioning",
    path: "/pictures/k",
    bucket: "pictures",
    status: 200,
    authMs: 1,
    totalMs: 7,
    turnaroundMs: 3.4,
    receivedBytes: 0,
    sentBytes: 113,
    remoteAddress: "192.0.2.3",
    userAgent: "S3Console/0.4",
    account: OWNER,
    requester: OWNER,
    httpVersion: "1.1",
    tlsVersion: "1.2",
    referer: "https://a/",
    host: "pictures.s3.us-west-1.amazonaws.com",
  })
})

function world() {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const written: string[] = []
  const state = { isBroken: false }
  const write = async (lines: Uint8Array): Promise<void> => {
    if (state.isBroken) throw new Error("no space")
    written.push(...Buffer.from(lines).toString().trimEnd().split("\n"))
  }
  const log = new AccessLog(clock, telemetry, { format: "json", node: () => undefined, place: "/log", write })
  const stop = new AbortController()
  const ended = log.run(stop.signal)
  const events = () => telemetry.entries().map(({ event, fields }) => [event, fields["lines"]])
  const finish = (requestId: string, more: Partial<FinishedRequest> = {}) =>
    log.finished("s3", requestOf({ requestId, ...more }))
  const ids = () => written.map(line => (JSON.parse(line) as { requestId: string }).requestId)
  return { clock, log, state, stop, ended, events, finish, ids }
}

test("lines are written in order, also after the sink failed, and the last ones at the stop", async () => {
  const { clock, state, stop, ended, events, finish, ids } = world()
  for (const id of "ab") finish(id)
  await clock.advance(ACCESS_LOG_LIMITS.gatherMs)
  assert.deepEqual(ids(), ["a", "b"])
  state.isBroken = true
  finish("c")
  await clock.advance(ACCESS_LOG_LIMITS.gatherMs)
  finish("d")
  await clock.advance(2 * ACCESS_LOG_LIMITS.retryMs)
  assert.deepEqual(events(), [["access_log_failed", undefined]])
  state.isBroken = false
  await clock.advance(2 * ACCESS_LOG_LIMITS.retryMs)
  assert.deepEqual(ids(), ["a", "b", "c", "d"])
  finish("e")
  stop.abort()
  await ended
  assert.deepEqual(ids(), ["a", "b", "c", "d", "e"])
})

test("a full queue drops lines, and says how many", async () => {
  const { clock, state, stop, ended, events, finish, ids } = world()
  state.isBroken = true
  const subject = { ...SUBJECT, keyText: "k".repeat(1_000) }
  const count = 2 * Math.ceil(ACCESS_LOG_LIMITS.queuedCharactersMax / 1_000)
  for (let number = 0; number < count; number += 1) finish(String(number), { subject })
  state.isBroken = false
  await clock.advance(ACCESS_LOG_LIMITS.gatherMs)
  const written = ids().length
  assert.ok(written > 100 && written < count, String(written))
  assert.deepEqual(events(), [["access_log_lines_dropped", count - written]])
  stop.abort()
  await ended
})
