/** Tests of requests that another thread has finished: they are counted, shown and logged as if they had ended here. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"
import type { AccessLogFormat } from "./access-log-core.js"
import { AccessLog } from "./access-log.js"
import { REQUEST_BATCH_LIMITS, RequestBatches } from "./request-batch.js"
import { LiveRequests } from "./requests.js"
import { Traffic } from "./traffic.js"

/** The knowledge of a protocol, as one passes it: an object whose members are those of its class. */
class Subject {
  constructor(private readonly key: string) {}

  readonly bucketName = "photos"
  readonly accountId = "team"
  readonly requester = "team"
  readonly bucketOwner = "owner"
  readonly signature = { version: "AWS4-HMAC-SHA256", form: "header" } as const
  readonly failure = fail("noSuchKey")

  get keyText(): string {
    return this.key
  }

  get admittedTo(): string {
    return this.bucketName
  }
}

const HEADERS: Readonly<Record<string, string>> = {
  "user-agent": "curl/8",
  host: "h:1",
  referer: "https://a/",
  "x-amz-decoded-content-length": "3900",
}
const ANSWER: Readonly<Record<string, string>> = {
  "x-amz-version-id": "v1",
  "x-amz-id-2": "host-id",
  "content-range": "bytes 0-9/5000",
  "content-length": "10",
}

const requestOf = (more: Partial<FinishedRequest> = {}): FinishedRequest => ({
  requestId: "00000000000000AA",
  method: "GET",
  rawTarget: "/photos/cats/%C3%A9.jpg?X-Amz-Signature=secret",
  status: 206,
  notes: { operation: "GetObject", bucket: "photos", accessKeyId: "AKIA1", failure: "NoSuchKey" },
  subject: new Subject("cats/é.jpg"),
  remoteAddress: "192.0.2.1",
  tlsVersion: "1.3",
  tlsCipher: "TLS_AES_128_GCM_SHA256",
  receivedBytes: 3,
  sentBytes: 7,
  clientGone: true,
  polledMs: 2,
  timing: { totalMs: 12.5, turnaroundMs: 4, fields: () => ({ authMs: 1, metaMs: 2, totalMs: 12.5 }) },
  header: name => HEADERS[name],
  httpVersion: "1.1",
  answerHeader: name => ANSWER[name],
  ...more,
})

/** Requests of both ports, with all fields and with few. */
const REQUESTS: readonly (readonly [server: string, request: FinishedRequest])[] = [
  ["s3", requestOf()],
  ["s3", requestOf({ status: undefined, subject: undefined, notes: {} })],
  ["s3", requestOf({ status: 200, method: "PUT", notes: { operation: "PutObject" }, tlsVersion: undefined })],
  ["admin", requestOf({ subject: undefined })],
  ["admin", requestOf()],
  ["websites", requestOf({ status: 503, header: () => undefined, answerHeader: () => undefined })],
]

/** The thread that shows requests, and one that serves them for it. */
function world(format: AccessLogFormat = "json") {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const node = () => "n1"
  const written: string[] = []
  const write = async (lines: Uint8Array): Promise<void> => void written.push(Buffer.from(lines).toString())
  const traffic = new Traffic(clock)
  const serving = new RequestBatches(clock, { format, node })
  const requests = new LiveRequests(clock, traffic, isWatched => (serving.isWatched = isWatched))
  const accessLog = new AccessLog(clock, telemetry, { format, node, place: "/log", write })
  const send = (): void => {
    const batch = structuredClone(serving.take())
    if (batch === undefined) return
    requests.replay(batch)
    accessLog.replay(batch)
  }
  /** All lines, once the service has ended. */
  const lines = async (): Promise<string> => {
    const stop = new AbortController()
    const ended = accessLog.run(stop.signal)
    stop.abort()
    await ended
    return written.join("")
  }
  return { clock, telemetry, traffic, serving, requests, accessLog, send, lines }
}

for (const format of ["json", "s3"] as const) {
  test(`requests of another thread are counted, shown and logged as those of this one (${format})`, async () => {
    const [here, there] = [world(format), world(format)]
    const seen: Record<"here" | "there", unknown[]> = { here: [], there: [] }
    here.requests.watch({}, request => seen.here.push(request))
    there.requests.watch({}, request => seen.there.push(request))
    for (const [server, request] of REQUESTS) {
      here.requests.finished(server, request)
      here.accessLog.finished(server, request)
      there.serving.finished(server, request)
    }
    there.send()
    assert.equal(seen.here.length, REQUESTS.length)
    assert.deepEqual(seen.there, seen.here)
    assert.deepEqual(there.traffic.counts("minute"), here.traffic.counts("minute"))
    assert.equal(there.traffic.counts("minute").total.requests, REQUESTS.length - 1)
    const lines = await here.lines()
    assert.equal(await there.lines(), lines)
    assert.ok(lines.includes("host-id") || lines.includes('"versionId":"v1"'), lines)
  })
}

test("lines and watchers are told when a request was done, although its batch arrives later", async () => {
  const { clock, serving, requests, send, lines } = world()
  const seen: number[] = []
  requests.watch({}, ({ atMs }) => seen.push(atMs))
  const doneMs = clock.wallMs()
  serving.finished("s3", requestOf())
  await clock.advance(1_000)
  send()
  assert.deepEqual(seen, [doneMs])
  assert.equal((await lines()).match(/"time":"([^"]*)"/)?.[1], new Date(doneMs - 12.5).toISOString())
})

test("a thread shows requests only while somebody watches, and is told when that begins and ends", () => {
  const { serving, requests } = world()
  const shown = (): number | undefined => {
    serving.finished("s3", requestOf())
    return serving.take()?.shown.length
  }
  assert.equal(shown(), 0)
  const [endOne, endTwo] = [requests.watch({}, () => undefined), requests.watch({}, () => undefined)]
  assert.equal(shown(), 1)
  endOne()
  endOne()
  assert.equal(shown(), 1)
  endTwo()
  assert.deepEqual([requests.isWatched, serving.isWatched, shown()], [false, false, 0])
  assert.equal(serving.take(), undefined)
})

test("a batch that is not taken is bounded, and the lines that are missing are counted", () => {
  const { telemetry, serving, requests, accessLog, send } = world()
  requests.watch({}, () => undefined)
  const { countedMax, shownMax, lineCharactersMax } = REQUEST_BATCH_LIMITS
  const request = requestOf({ subject: new Subject("k".repeat(1_024)) })
  for (let n = 0; n < countedMax + 10; n += 1) serving.finished("s3", request)
  const batch = serving.take()
  assert.deepEqual([batch?.counted.length, batch?.shown.length], [countedMax, shownMax])
  const [kept = 0, dropped = 0] = [batch?.lines.length, batch?.linesDropped]
  assert.equal(kept + dropped, countedMax + 10)
  assert.ok((batch?.lines ?? []).join("").length <= lineCharactersMax && kept > 1_000, `${kept}`)
  accessLog.replay({ lines: [], linesDropped: dropped })
  assert.equal(telemetry.metric("hayloft_access_log_dropped_total"), dropped)
  send()
  assert.equal(telemetry.metric("hayloft_access_log_dropped_total"), dropped, "the next batch is empty")
})
