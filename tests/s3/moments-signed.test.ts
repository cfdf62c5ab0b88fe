/** Which signatures cover the moment of a read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { presignV2, signedV2 } from "../../conformance/sign-v2.js"
import { OWNER, serveModel } from "./over-model.js"

test("signatures of version 2, which do not cover the parameter, give no access to the past", async () => {
  const served = await serveModel()
  try {
    const endpoint = parseEndpoint(served.endpoint)
    const client = new Client(endpoint, { accessKey: OWNER.id, secretKey: OWNER.secret }, "us-east-1")
    await client.call("PUT", { bucket: "old" })
    await client.call("PUT", { bucket: "old", key: "k", body: "x" })
    const url = presignV2(client, "GET", { bucket: "old", key: "k" })
    assert.equal((await client.send("GET", url)).status, 200)
    const added = await client.send("GET", `${url}&readTimestamp=2026-01-01T00:00:00Z`)
    assert.match(added.text, /<Code>InvalidRequest<.*version 4/s)
    const query = "readTimestamp=2026-01-01T00:00:00Z"
    const inHeader = signedV2(client, "GET", { bucket: "old", key: "k", query })
    assert.match((await client.call("GET", inHeader)).text, /<Code>InvalidRequest<.*version 4/s)
    const signed = await client.call("GET", { bucket: "old", key: "k", query })
    assert.match(signed.text, /<Code>HistoryIncomplete</, "version 4 covers it")
  } finally {
    await served.stop()
  }
})

test("a presigned URL is one of its moment", async () => {
  const served = await serveModel()
  try {
    const endpoint = parseEndpoint(served.endpoint)
    const client = new Client(endpoint, { accessKey: OWNER.id, secretKey: OWNER.secret }, "us-east-1")
    await client.call("PUT", { bucket: "old" })
    const url = client.presign("GET", { bucket: "old", key: "k", query: "readTimestamp=1769851800000001" })
    assert.match((await client.send("GET", url)).text, /<Code>HistoryIncomplete</, "the model keeps no history")
    const changed = url.replace("1769851800000001", "1769851800000002")
    assert.match((await client.send("GET", changed)).text, /<Code>SignatureDoesNotMatch</)
    const removed = url.replace(/readTimestamp=\d+&/, "")
    assert.match((await client.send("GET", removed)).text, /<Code>SignatureDoesNotMatch</)
  } finally {
    await served.stop()
  }
})
