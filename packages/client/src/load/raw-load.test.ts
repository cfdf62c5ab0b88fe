/** Load against a small server with scripted responses. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { runLoad, type LoadPlan, type LoadResult } from "./raw-load.js"

const clock = new RealClock()
const signal = new AbortController().signal

async function against(
  answer: (n: number) => { status: number; body: string; headers?: Record<string, string> },
  plan: (count: () => number) => Omit<LoadPlan, "endpoint">,
): Promise<LoadResult> {
  let served = 0
  const server: Server = createServer((request, response) => {
    request.resume().on("end", () => {
      const { status, body, headers = {} } = answer(served++)
      response.writeHead(status, { "content-length": body.length, ...headers }).end(body)
    })
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  try {
    return await runLoad(
      { endpoint: new URL(`http://127.0.0.1:${address.port}`), ...plan(() => served) },
      clock,
      signal,
    )
  } finally {
    server.close()
  }
}

const get = { bytes: Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), isHead: false }

/** This many requests, then none. */
const some = (count: number, expectBytes = 2) => {
  let requested = 0
  return () => (requested++ < count ? { request: get, bytes: 2, expectBytes } : undefined)
}

test("successes, refusals and wrong lengths are distinguished", async () => {
  const kinds = [
    { status: 200, body: "ok" },
    { status: 503, body: "<Code>SlowDown</Code>", headers: { "retry-after": "1", connection: "close" } },
    { status: 200, body: "long" },
  ]
  const result = await against(
    n => kinds[n % 3] ?? { status: 500, body: "" },
    () => ({ connections: 3, next: some(30), patienceMs: 0 }),
  )
  assert.deepEqual(result.statuses, { 200: 20, 503: 10 })
  assert.deepEqual([result.count, result.errors, result.retryLater], [10, 20, 10])
  assert.match(result.firstError ?? "", /503 SlowDown|4 bytes instead of 2/)
})

test("a request to be tried later is sent again, and is no error once it succeeds", async () => {
  const later = { status: 503, body: "<Code>ServiceUnavailable</Code>", headers: { "retry-after": "0" } }
  const result = await against(
    n => (n < 5 ? later : { status: 200, body: "ok" }),
    () => ({ connections: 1, next: some(3), errorsInARowMax: 1 }),
  )
  assert.deepEqual([result.count, result.errors, result.retryLater, result.statuses], [3, 0, 5, { 200: 3 }])
  assert.equal(result.firstError, undefined)

  const isForEver = { ...later, headers: { "retry-after": "3600" } }
  const refused = await against(
    () => isForEver,
    () => ({ connections: 1, next: some(3), errorsInARowMax: 1 }),
  )
  assert.deepEqual([refused.count, refused.errors, refused.firstError], [0, 1, "503 ServiceUnavailable"])
})

test("an open load does not exceed its rate, and a server that only fails ends it", async () => {
  const steady = await against(
    () => ({ status: 200, body: "ok" }),
    () => ({ connections: 4, next: some(1000), perSecond: 50, seconds: 0.5 }),
  )
  assert.ok(steady.count >= 1 && steady.count <= 25, `${steady.count} requests`)
  const broken = await against(
    () => ({ status: 500, body: "" }),
    () => ({ connections: 1, next: some(1000) }),
  )
  assert.deepEqual([broken.count, broken.errors], [0, 100])
})

test("an unreachable server is an error of each request, not of the load", async () => {
  const plan = { endpoint: new URL("http://127.0.0.1:1"), connections: 2, next: some(6) }
  const result = await runLoad(plan, clock, signal)
  assert.deepEqual(result.statuses, { 0: 6 })
  assert.match(result.firstError ?? "", /cannot reach/)
})
