/** Health on the S3 port: what is asked for, what stays S3, and what a full store answers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { HealthReport } from "@hayloft/node/index.js"
import type { Exchange, PlainAnswer } from "@hayloft/protocols/http/index.js"
import { asksForHealth, healthGuest } from "./health-guest.js"

const DOMAINS = ["s3.example.com"]

const asked = (method: string, rawTarget: string, headers: Readonly<Record<string, string>> = {}) =>
  asksForHealth({ method, rawTarget, header: name => headers[name] }, DOMAINS)

test("unsigned requests to the six paths are for health, and nothing else is", () => {
  for (const path of [
    "/health/live",
    "/health/ready",
    "/minio/health/live",
    "/minio/health/ready",
    "/minio/health/cluster",
    "/minio/health/cluster/read",
  ]) {
    assert.ok(asked("GET", path), path)
    assert.ok(asked("HEAD", path, { host: "s3.example.com" }), path)
    assert.ok(asked("GET", path, { host: "127.0.0.1:9000" }), path)
  }
  assert.ok(!asked("PUT", "/health/live"), "an upload is S3")
  assert.ok(!asked("GET", "/health/live", { authorization: "AWS4-HMAC-SHA256 …" }), "so is a signed request")
  assert.ok(!asked("GET", "/health/live?X-Amz-Signature=00"), "and a presigned one")
  assert.ok(!asked("GET", "/health/live", { host: "photos.s3.example.com" }), "and a key of the bucket of a host")
  for (const path of ["/health", "/health/", "/health/other", "/minio", "/health/live/", "//health/live"])
    assert.ok(!asked("GET", path), path)
})

const WELL: HealthReport = { ready: true, reasons: [] }
/** The health before the process has opened its port in all threads, of which a request on the port knows better. */
const CLOSED: HealthReport = { ready: false, reasons: ["the S3 port is not open yet"] }

async function answered(target: string, health: HealthReport, liveness = WELL) {
  const answers: PlainAnswer[] = []
  const guest = healthGuest(
    { health: isListening => (isListening === true ? health : CLOSED), liveness: () => liveness },
    DOMAINS,
    {
      handle: () => assert.fail("not for S3"),
      refuse: () => assert.fail("not refused"),
    },
  )
  const exchange = {
    method: "GET",
    rawTarget: target,
    requestId: "01",
    header: () => undefined,
    note: () => undefined,
    respond: (answer: PlainAnswer) => void answers.push(answer),
  } as unknown as Exchange
  assert.ok(guest.speaks(exchange))
  await guest.protocol.handle(exchange)
  const [answer] = answers
  assert.ok(answer !== undefined)
  return [answer.status, JSON.parse(Buffer.from(answer.body).toString()) as unknown]
}

test("ready says why not; a full store is ready, says so, and is no target for writes", async () => {
  const well = { ready: true, reasons: [] }
  assert.deepEqual(await answered("/health/ready", well), [200, { status: "ok", reasons: [] }])
  assert.deepEqual(await answered("/minio/health/cluster", well), [200, { status: "ok", reasons: [] }])
  const full = { ready: true, reasons: ["device 1 is full"], refusesWrites: true }
  assert.deepEqual(await answered("/health/ready", full), [200, { status: "full", reasons: full.reasons }])
  assert.deepEqual(await answered("/minio/health/cluster", full), [503, { status: "full", reasons: full.reasons }])
  assert.deepEqual(await answered("/minio/health/cluster/read", full), [200, { status: "full", reasons: full.reasons }])
  const stopping = { ready: false, reasons: ["the server is stopping"] }
  for (const path of ["/health/ready", "/minio/health/ready", "/minio/health/cluster"])
    assert.deepEqual(await answered(path, stopping), [503, { status: "notReady", reasons: stopping.reasons }])
  assert.deepEqual(await answered("/health/live", stopping), [200, { status: "ok", reasons: [] }])
  const halted = { ready: false, reasons: ["writes have been halted"] }
  for (const path of ["/health/live", "/minio/health/live"])
    assert.deepEqual(await answered(path, stopping, halted), [503, { status: "notReady", reasons: halted.reasons }])
})
