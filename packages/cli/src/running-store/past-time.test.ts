/** Times of commands on a machine whose clock is wrong: ages and ends are by the store's clock. */
import assert from "node:assert/strict"
import http from "node:http"
import { after, before, test } from "node:test"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { CliIo } from "../io.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"

/** The store is in 2026, and the clock of the operator's machine ten minutes ahead. */
const STORE_MS = Date.UTC(2026, 0, 31, 12)
const AHEAD_MS = 600_000

class ClockAhead extends RealClock {
  override wallMs(): number {
    return STORE_MS + AHEAD_MS
  }
}

/** One server is the S3 port and the admin port. It keeps the requests that it refuses, but those for its time. */
const store = { answersTime: true, requests: [] as string[], body: "{}", status: 403, endpoint: "" }
const server = http.createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    response.sendDate = false
    if (store.answersTime) response.setHeader("date", new Date(STORE_MS).toUTCString())
    const isForTime = request.url === "/health/live" || (request.method === "HEAD" && request.url === "/")
    if (isForTime) return void response.writeHead(200).end()
    store.requests.push(decodeURIComponent(request.url ?? "") + Buffer.concat(chunks).toString())
    response.writeHead(store.status, { "content-type": "application/json" }).end(store.body)
  })
})
server.keepAliveTimeout = 0
before(async () => {
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  store.endpoint = `http://127.0.0.1:${address.port}`
})
after(() => {
  server.close()
  server.closeAllConnections()
})

async function typed(
  line: string,
  changed: Partial<CliIo> = {},
): Promise<{ code: number; out: string; error: string }> {
  const environment = {
    HAYLOFT_ADMIN_ENDPOINT: store.endpoint,
    HAYLOFT_ADMIN_TOKEN: "token",
    AWS_ENDPOINT_URL: store.endpoint,
    AWS_ACCESS_KEY_ID: "AKIAEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "secret",
  }
  const { io, written } = testIo({ environment, clock: new ClockAhead(), ...changed })
  return { code: await run(line.split(" "), io, new AbortController().signal), ...written }
}

const DAY_AGO_MS = STORE_MS - 86_400_000
const [DAY_AGO, DAY_AGO_TEXT] = [String(DAY_AGO_MS), "2026-01-30T12:00:00"]

for (const [line, sent] of [
  ["audit --since 1d", `sinceMs=${DAY_AGO}`],
  ["audit --until 1d", `untilMs=${DAY_AGO}`],
  ["events --since 1d", `sinceMs=${DAY_AGO}`],
  ["events --since 1d --follow", `sinceMs=${DAY_AGO}`],
  ["bucket undelete list photos --since 1d", `sinceMs=${DAY_AGO}`],
  ["bucket undelete restore photos a --at 1d", `"atMs":${DAY_AGO}`],
  ["bucket diff photos 1d", `from=${DAY_AGO_TEXT}`],
  ["inventory start photos --into out/table --at 1d", `"at":"${DAY_AGO_TEXT}`],
  ["ls s3://photos/ --at 1d", `readTimestamp=${DAY_AGO_TEXT}`],
  ["cat s3://photos/a --at 1d", `readTimestamp=${DAY_AGO_TEXT}`],
  ["cp s3://photos/a - --at 1d", `readTimestamp=${DAY_AGO_TEXT}`],
] as const)
  test(`the age of ${line} is by the store's clock`, async () => {
    store.requests = []
    const { error } = await typed(line)
    assert.ok(store.requests[0]?.includes(sent), `${store.requests[0]}: ${error}`)
  })

test("only ages need a response with the store's time", async () => {
  store.requests = []
  store.answersTime = false
  await typed("jobs start delete-objects photos --yes")
  await typed("jobs start delete-objects photos --yes --older-than 2026-01-31T09:30:00Z")
  assert.equal(store.requests.length, 2)
  const aged = await typed("jobs start delete-objects photos --yes --older-than 1d")
  store.answersTime = true
  assert.equal(store.requests.length, 2)
  assert.match(aged.error, /does not tell the store's time/)
})

test("a key has expired once it has by the store's clock", async () => {
  const key = { accountId: "a", principal: "root", createdMs: 1, isActive: true, isRoot: false }
  const keys = [
    { ...key, accessKeyId: "OVER", expiresMs: STORE_MS - 1_000 },
    { ...key, accessKeyId: "VALID", expiresMs: STORE_MS + 1_000 },
  ]
  Object.assign(store, { status: 200, body: JSON.stringify({ keys }) })
  const { out, error } = await typed("key list")
  Object.assign(store, { status: 403, body: "{}" })
  assert.match(out, /OVER .*expired/, error)
  assert.match(out, /VALID .*until 2026-01-31 12:00:01Z/)
})
