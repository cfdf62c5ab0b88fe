/** Limits of rates as a client meets them: refusals, their header, waits, and who counts for what. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import type { HeldLimits } from "../../src/access/contract.js"
import { parseAccessKeyId } from "../../src/base/ids.js"
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

let served: Served
before(async () => {
  served = await serveModel({ keys })
})
after(() => served.stop())

const clientOf = (accessKey: string, secretKey = SECRET): Client =>
  new Client(parseEndpoint(served.endpoint), { accessKey, secretKey }, "us-east-1")

const metric = (name: string, labels: Record<string, string>) =>
  served.telemetry.metric(`hayloft_rate_limit_${name}_total`, labels)

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
})

test("bytes beyond the limit are not refused: bodies take their time in both directions", async () => {
  const client = clientOf("PACED")
  const body = Buffer.alloc(700_000, 7)
  assert.equal((await client.call("PUT", { bucket: "paced" })).status, 200)
  const beganMs = performance.now()
  assert.equal((await client.call("PUT", { bucket: "paced", key: "k", body })).status, 200)
  const got = await client.call("GET", { bucket: "paced", key: "k" })
  assert.deepEqual(got.body, body)
  assert.equal((await client.call("PUT", { bucket: "paced", key: "k", body })).status, 200)
  // 2.1 MB at 1 MB a second, of which the first one and the last piece move at once.
  assert.ok(performance.now() - beganMs > 350, `${performance.now() - beganMs} ms`)
  assert.ok(metric("paced", { holder: "key", id: "PACED" }) > 0)
})
