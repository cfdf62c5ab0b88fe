/**
 * Limits of rates as a client meets them: refusals, their header, waits, and who counts for what. Their time is virtual: it
 * passes only when a test says so, and in waits.
 */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { setImmediate } from "node:timers/promises"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import type { HeldLimits } from "../../src/access/contract.js"
import { RateLimiter } from "../../src/access/index.js"
import { parseAccessKeyId } from "../../src/base/ids.js"
import { SimClock } from "../../src/seams/clock/sim.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
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
  const [one, two] = [clientOf("LIMITED1"), clientOf("LIMITED2")]
  const own = clientOf("OWNLIMIT")
  for (let i = 0; i < 5; i += 1) {
    const { status } = await clientOf("LIMITED1", "wrong").call("GET", {})
    assert.equal(status, 403, "requests that prove nothing use up nothing")
  }
  const answers = [
    await one.call("GET", {}),
    await two.call("GET", {}),
    await one.call("GET", {}),
    await two.call("GET", {}),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 503],
  )
  const refused = answers[3]
  assert.match(refused?.text ?? "", /<Code>SlowDown<\/Code><Message>Please reduce your request rate\.<\/Message>/)
  assert.equal(refused?.header("retry-after"), "1")
  assert.equal((await own.call("GET", {})).status, 200, "another key has limits of its own")
  assert.equal(metric("refused", { holder: "account", id: ownerAccount.id }), 1)
  const passed = async (tries: number): Promise<number> => {
    let count = 0
    for (let i = 0; i < tries; i += 1) if ((await one.call("GET", {})).status === 200) count += 1
    return count
  }
  await time.advance(999)
  assert.equal(await passed(2), 0)
  await time.advance(1)
  assert.equal(await passed(3), 1, "one a second")
  await time.advance(60_000)
  assert.equal(await passed(6), 3, "a pause earns no more than the burst")
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
  // What was overdrawn is waited for: all bytes have been counted, once.
  const nextMs = await pacedMs(put())
  assert.ok(tookMs + nextMs >= 1_800 - PIECE_MS_MAX && tookMs + nextMs <= 1_800 + ALARM_MS, `${tookMs} + ${nextMs} ms`)
  assert.ok(metric("paced", { holder: "key", id: "PACED" }) > 0)
})
