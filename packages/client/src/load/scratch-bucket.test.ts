/** The bucket of a load is removed, whenever the load is interrupted. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { withScratchBucket } from "./scratch-bucket.js"

test("a load that is interrupted before its bucket is confirmed still removes the bucket", async () => {
  const stop = new AbortController()
  const methods: string[] = []
  const server = createServer((request, response) => {
    methods.push(request.method ?? "")
    if (request.method === "PUT") stop.abort()
    // By then everything interruptible has been interrupted.
    setImmediate(() => response.end(request.method === "GET" ? "<ListBucketResult/>" : ""))
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  const access = { endpoint: `http://127.0.0.1:${address.port}`, region: "r", accessKeyId: "a", secretAccessKey: "s" }
  try {
    const work = () => assert.fail("no work is begun any more")
    const load = withScratchBucket(access, new RealClock(), new RealRandom(), stop.signal, work)
    await assert.rejects(load, { name: "AbortError" })
    assert.deepEqual(methods, ["PUT", "GET", "DELETE"])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
