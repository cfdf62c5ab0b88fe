/**
 * Limits of rates as a client meets them: refusals, their header, waits, and who counts for what. Their time is virtual: it
 * passes only when a test says so, and in waits.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { setImmediate } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import type { HeldLimits } from "@hayloft/access/contract.js"
import { RateLimiter } from "@hayloft/access/index.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ownerAccount, rootKeyOf, serveModel, type Served } from "./over-model.js"

const SLOW = { requestsPerSecond: 1, burst: 3, bytesPerSecond: undefined }
const PACED = { requestsPerSecond: undefined, burst: undefined, bytesPerSecond: 1_000_000 }
const SECRET = "a-secret-of-a-limited-key"

const keyWith = (id: string, ...limited: readonly HeldLimits[]) => ({
  ...rootKeyOf(parseAccessKeyId(id), SECRET, ownerAccount),
  limited,
})
const ofAccount = { holder: "account", id: ownerAccount.id, limits: SLOW } as const
const keys = [
  keyWith("LIMITED1", ofAccount),
  keyWith("LIMITED2", ofAccount),
  keyWith("OWNLIMIT", { holder: "key", id: parseAccessKeyId("OWNLIMIT"), limits: SLOW }),
  keyWith("PACED", { holder: "key", id: parseAccessKeyId("PACED"), limits: PACED }),
]

const time = new SimClock()
const telemetry = new SimTelemetry()
const rates = new RateLimiter(time, telemetry.metrics, () => 1)

let served: Served
before(async () => {
  served = await serveModel({ keys, rates })
})
after(() => served.stop())

const clientOf = (accessKey: string, secretKey = SECRET): Client =>
  new Client(parseEndpoint(served.endpoint), { accessKey, secretKey }, "us-east-1")

const metric = (name: string, labels: Record<string, string>) =>
  telemetry.metric(`hayloft_rate_limit_${name}_total`, labels)

test("requests beyond the limit of an account are answered 503 SlowDown, whichever of its keys signs them", async () => {
  const own = clientOf("OWNLIMIT")
  for (let i = 0; i < 4; i += 1) {
    const { status } = await clientOf("LIMITED1", "wrong").call("GET", {})
    assert.equal(status, 403, "requests that prove nothing use up nothing")
  }
  const refusals = () => metric("refused", { holder: "account", id: ownerAccount.id }) ?? 0
  const held: ReturnType<Client["call"]>[] = []
  /** Returns true if the request passes; the answer to one that does not is still to come. */
  const passes = async (client: Client): Promise<boolean> => {
    const before = refusals()
    const ending = { isOver: false }
    const answer = client.call("GET", {}).finally(() => (ending.isOver = true))
    await until("the request passes or is refused", () => ending.isOver || refusals() !== before, 1)
    if (!ending.isOver) held.push(answer)
    return ending.isOver && (await answer).status === 200
  }
  const passed = async (tries: number): Promise<number> => {
    let count = 0
    for (let i = 0; i < tries; i += 1) if (await passes(clientOf(i % 2 === 0 ? "LIMITED1" : "LIMITED2"))) count += 1
    return count
  }
  assert.equal(await passed(4), 3)
  const [first] = held
  assert.equal((await own.call("GET", {})).status, 200, "another key has limits of its own")
  assert.equal(refusals(), 1)
  await time.advance(999)
  assert.equal(await passed(2), 0)
  assert.equal(await Promise.race([first, setImmediate("held")]), "held", "who is refused does not ask again at once")
  await time.advance(1)
  const refused = await first
  assert.equal(refused?.status, 503)
  assert.match(refused?.text ?? "", /<Code>SlowDown<\/Code><Message>Please reduce your request rate\.<\/Message>/)
  assert.equal(refused?.header("retry-after"), "1")
  assert.equal(await passed(3), 1, "one a second")
  await time.advance(60_000)
  assert.equal(await passed(6), 3, "a pause earns no more than the burst")
  await time.advance(1_000)
  for (const answer of held) assert.equal((await answer).status, 503)
})

/** Time passes while bytes wait, and never else; resolves with how much. */
async function pacedMs<T>(work: Promise<T>): Promise<number> {
  const beganMs = time.monotonicMs()
  const ending = { isOver: false }
  const watched = work.finally(() => (ending.isOver = true))
  while (!ending.isOver) {
    if (rates.report().some(({ waiting }) => waiting > 0)) await time.advance(1)
    await setImmediate()
  }
  await watched
  return time.monotonicMs() - beganMs
}

/** A piece of a body has at most 128 KiB, and a limit looks at what waits every 10 ms. */
const [PIECE_MS_MAX, ALARM_MS] = [132, 12]

test("bytes beyond the limit are not refused: bodies take their time in both directions", async () => {
  const client = clientOf("PACED")
  const body = Buffer.alloc(700_000, 7)
  assert.equal((await client.call("PUT", { bucket: "paced" })).status, 200)
  const put = async (): Promise<void> => {
    assert.equal((await client.call("PUT", { bucket: "paced", key: "k", body })).status, 200)
  }
  const work = async (): Promise<void> => {
    await put()
    assert.deepEqual((await client.call("GET", { bucket: "paced", key: "k" })).body, body)
    await put()
  }
  // 2.1 MB at 1 MB a second, of which the first one moves at once, and so does the last piece once it is its turn.
  const tookMs = await pacedMs(work())
  assert.ok(tookMs >= 1_100 - PIECE_MS_MAX && tookMs <= 1_100 + ALARM_MS, `${tookMs} ms`)
  // The next request waits for what was overdrawn: all bytes have been counted, once.
  const nextMs = await pacedMs(put())
  assert.ok(tookMs + nextMs >= 1_800 - PIECE_MS_MAX && tookMs + nextMs <= 1_800 + ALARM_MS, `${tookMs} + ${nextMs} ms`)
  assert.ok(metric("paced", { holder: "key", id: "PACED" }) > 0)
})
