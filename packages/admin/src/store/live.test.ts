/** Live requests and traffic by the API: filters, the end with the token, and what is refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { FinishedRequest } from "@hayloft/protocols/http/index.js"
import { TRAFFIC } from "./live-schemas.js"
import { STREAM_LIMITS } from "../streams.js"
import { world } from "../testing-api.js"
import { CREATED_ADMIN_TOKEN } from "../identities/token-schemas.js"

const requestTo = (bucketName: string, status: number): FinishedRequest => ({
  requestId: "00000000000000AA",
  method: "GET",
  rawTarget: `/${bucketName}/k`,
  status,
  notes: {},
  subject: { bucketName, admittedTo: bucketName, keyText: "k", accountId: "team" },
  remoteAddress: "192.0.2.1",
  tlsVersion: undefined,
  receivedBytes: 0,
  sentBytes: 9,
  clientGone: false,
  polledMs: 0,
  timing: { totalMs: 3, turnaroundMs: 2, fields: () => ({ totalMs: 3 }) },
  header: () => undefined,
  httpVersion: "1.1",
  tlsCipher: undefined,
  answerHeader: () => undefined,
})

async function linesOf(stream: AsyncIterator<Uint8Array>): Promise<readonly Record<string, unknown>[]> {
  const next = await stream.next()
  if (next.done === true) return []
  const lines = new TextDecoder().decode(next.value).trimEnd().split("\n")
  return lines.map(line => JSON.parse(line) as Record<string, unknown>)
}

async function traced(it: ReturnType<typeof world>, query = "", token?: string) {
  const answer = await it.send("GET", `/v1/trace${query}`, token === undefined ? {} : { token })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers["content-type"], "application/x-ndjson")
  const stream = answer.stream?.[Symbol.asyncIterator]()
  assert.ok(stream)
  assert.equal((await linesOf(stream))[0]?.["type"], "heartbeat")
  return stream
}

test("a trace shows the requests that its filter lets through, and its node", async () => {
  const it = world()
  const stream = await traced(it, "?bucket=photos&status=4xx")
  it.store.requests.finished("s3", requestTo("photos", 200))
  it.store.requests.finished("s3", requestTo("other", 404))
  it.store.requests.finished("s3", requestTo("photos", 404))
  const lines: Record<string, unknown>[] = []
  while (lines.length < 2) lines.push(...(await linesOf(stream)))
  const [request, other] = [lines.find(({ type }) => type === "request"), lines.find(({ type }) => type === "node")]
  assert.deepEqual([request?.["node"], request?.["bucket"], request?.["status"]], ["node-1", "photos", 404])
  assert.deepEqual(other, { type: "node", node: "node-2", isShown: false, reason: "it does not run" })
  assert.equal(lines.length, 2)
  await stream.return?.()
})

test("a trace ends when its token is revoked or the server stops", async () => {
  const it = world()
  const { value } = await it.json("POST", "/v1/tokens", { body: { name: "watch", scopes: ["read"] } })
  const { token, id } = CREATED_ADMIN_TOKEN.parse(value)
  const [ofToken, own] = [await traced(it, "", token), await traced(it)]
  await it.json("DELETE", `/v1/tokens/${id}`)
  await it.store.clock.advance(STREAM_LIMITS.heartbeatMs)
  const lines = [...(await linesOf(ofToken)), ...(await linesOf(ofToken))]
  assert.deepEqual(lines.at(-1)?.["type"], "end")
  assert.match(String(lines.at(-1)?.["reason"]), /missing, wrong or expired/)
  await linesOf(own)
  it.api.stop()
  assert.match(String((await linesOf(own))[0]?.["reason"]), /stops/)
})

for (const query of ["status=abc", "minMs=-1", "errors=yes", "key=x", "node=node-9"]) {
  test(`a trace with ${query} is refused before it begins`, async () => {
    assert.equal((await world().json("GET", `/v1/trace?${query}`)).status, 400)
  })
}

test("traffic is by window", async () => {
  const it = world()
  it.store.requests.finished("s3", requestTo("photos", 503))
  it.store.requests.finished("admin", { ...requestTo("photos", 200), subject: undefined })
  const { value } = await it.json("GET", "/v1/traffic")
  const traffic = TRAFFIC.parse(value)
  assert.deepEqual([traffic.window, traffic.nodes?.[0]?.name, traffic.total.requests], ["minute", "node-1", 1])
  assert.deepEqual(traffic.unshown, [{ node: "node-2", reason: "it does not run" }])
  assert.deepEqual([traffic.buckets[0]?.name, traffic.accounts[0]?.name], ["photos", "team"])
  assert.equal(TRAFFIC.parse((await it.json("GET", "/v1/traffic?window=hour")).value).window, "hour")
  const of = (node: string) => it.json("GET", `/v1/traffic?node=${node}`)
  assert.equal(TRAFFIC.parse((await of("node-2")).value).total.requests, 0)
  for (const window of ["day", "week"])
    assert.equal(TRAFFIC.parse((await it.json("GET", `/v1/traffic?window=${window}`)).value).window, window)
  assert.equal((await it.json("GET", "/v1/traffic?window=month")).status, 400)
  assert.equal((await of("node-9")).status, 400)
})
