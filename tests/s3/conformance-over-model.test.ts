/** The conformance suite over the model: a failure here is a bug of the S3 layer, not of the engine. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { ROWS } from "../../conformance/rows/index.js"
import { runRows } from "../../conformance/suite.js"
import { OWNER, serveModel, STRANGER } from "./over-model.js"
import type { Served } from "./over-model.js"

let served: Served
before(async () => {
  served = await serveModel({ allowSseCWithoutTls: true })
})
after(() => served.stop())

test("every row of the conformance suite passes", async () => {
  const endpoint = parseEndpoint(served.endpoint)
  const clientOf = ({ id, secret }: typeof OWNER) =>
    new Client(endpoint, { accessKey: id, secretKey: secret }, "us-east-1")
  const surroundings = { domain: "localhost", other: clientOf(STRANGER) }
  const outcomes = await runRows(ROWS, clientOf(OWNER), surroundings, () => undefined)
  const failed = outcomes
    .filter(({ result }) => result !== "passed")
    .map(({ id, title, message }) => `${id} ${title}: ${message}`)
  assert.deepEqual(failed, [])
  assert.ok(outcomes.length >= 600, `${outcomes.length} rows ran`)
})
