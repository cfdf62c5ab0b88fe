/** Wrong signatures of one key: its client has to wait, whichever form and protocol it signs, and others do not. */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Client } from "../../conformance/client.js"
import { formBody, post, signForm } from "../../conformance/forms.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { ownerAccount, rootKeyOf, serveModel, type Served } from "./over-model.js"

const SECRET = "the-secret-of-a-key"
const NAMES = ["HEADER", "URL", "FORM", "SHARED", "FAULTY", "RIGHT"] as const
const HOUR_MS = 3_600_000

/** The clock of waits: it stands still unless a test lets it pass. */
const time = new SimClock()
let served: Served
before(async () => {
  const keys = NAMES.map(name => rootKeyOf(parseAccessKeyId(`KEY${name}`), SECRET, ownerAccount))
  served = await serveModel({ keys, attempts: attemptsWith(time) })
  await clientOf("RIGHT").call("PUT", { bucket: "bucket" })
})
after(() => served.stop())

const clientOf = (name: (typeof NAMES)[number], secretKey = SECRET): Client =>
  new Client(parseEndpoint(served.endpoint), { accessKey: `KEY${name}`, secretKey }, "us-east-1")

const BY_HEADER = (client: Client) => client.call("GET", { bucket: "bucket" })
const BY_URL = (client: Client) => client.send("GET", client.presign("GET", { bucket: "bucket" }))
const byForm = ({ credentials }: Client): Promise<RawResponse> => {
  const signed = signForm(credentials, { bucket: "bucket", conditions: [["starts-with", "$key", ""]] })
  return post({
    endpoint: served.endpoint,
    bucket: "bucket",
    body: formBody([["key", "k"], ...signed], { bytes: "x" }),
  })
}

for (const [name, send] of [
  ["HEADER", BY_HEADER],
  ["URL", BY_URL],
  ["FORM", byForm],
] as const) {
  test(`after five wrong signatures (${name}) the client of the key is answered 503 SlowDown, with the reason`, async () => {
    for (let i = 0; i < 5; i += 1) {
      const { status, text } = await send(clientOf(name, "wrong"))
      assert.deepEqual([status, text.includes("SignatureDoesNotMatch")], [403, true])
    }
    for (const secret of ["wrong", SECRET]) {
      const answer = await send(clientOf(name, secret))
      assert.deepEqual([answer.status, answer.header("retry-after")], [503, "1"])
      assert.match(
        answer.text,
        /<Code>SlowDown<\/Code><Message>too many wrong secrets from this address: try again in 1/,
      )
    }
    assert.ok((await send(clientOf("RIGHT"))).status < 300, "another key")
    await time.advance(1_000)
    assert.ok((await send(clientOf(name))).status < 300)
    await time.advance(HOUR_MS)
  })
}

test("a client whose signatures are wrong for some objects alone is not held up", async () => {
  for (let i = 0; i < 20; i += 1) {
    assert.equal((await BY_HEADER(clientOf("FAULTY", "wrong"))).status, 403)
    assert.equal((await BY_HEADER(clientOf("FAULTY"))).status, 200)
  }
})

test("skewed clocks, expired URLs and keys that do not exist are no wrong secrets", async () => {
  const client = clientOf("SHARED")
  for (let i = 0; i < 10; i += 1) {
    const late = await client.call("GET", { bucket: "bucket", sign: { timeMs: Date.now() - HOUR_MS } })
    assert.match(late.text, /RequestTimeTooSkewed/)
    const target = client.presign("GET", { bucket: "bucket", expires: 1, sign: { timeMs: Date.now() - 60_000 } })
    assert.match((await client.send("GET", target)).text, /Request has expired/)
    const unknown = new Client(client.endpoint, { accessKey: "NOSUCHKEY", secretKey: "wrong" }, "us-east-1")
    assert.match((await BY_HEADER(unknown)).text, /InvalidAccessKeyId/)
  }
  assert.equal((await BY_HEADER(clientOf("SHARED", "wrong"))).status, 403)
  assert.equal((await BY_HEADER(client)).status, 200)
})
