/** The conformance suite over the model: a failure here is a bug of the S3 layer, not of the engine. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { Client } from "../../conformance/client.js"
import { KeptConnections, parseEndpoint } from "../../conformance/raw-client.js"
import { ROWS } from "../../conformance/rows/index.js"
import { runRows } from "../../conformance/suite.js"
import { fail } from "@hayloft/base/failures.js"
import type { S3Keys } from "@hayloft/access/keys/index.js"
import { OWNER, serveModel, STRANGER } from "./over-model.js"
import type { Served } from "./over-model.js"

/** One key for all accounts. */
const kms: S3Keys = {
  forWriting(_caller, name) {
    if (name !== undefined) throw fail("noSuchKmsKey")
    return "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000001"
  },
  forReading: () => undefined,
}

let served: Served
before(async () => {
  served = await serveModel({ allowSseCWithoutTls: true, kms })
})
after(() => served.stop())

test("every row of the conformance suite passes", async () => {
  const endpoint = parseEndpoint(served.endpoint)
  const kept = new KeptConnections(endpoint)
  const clientOf = ({ id, secret }: typeof OWNER) =>
    new Client(endpoint, { accessKey: id, secretKey: secret }, "us-east-1", kept)
  const surroundings = { domain: "localhost", other: clientOf(STRANGER) }
  const outcomes = await runRows(ROWS, clientOf(OWNER), surroundings, () => undefined)
  kept.close()
  const failed = outcomes
    .filter(({ result }) => result !== "passed")
    .map(({ id, title, message }) => `${id} ${title}: ${message}`)
  assert.deepEqual(failed, [])
  assert.ok(outcomes.length >= 600, `${outcomes.length} rows ran`)
})
