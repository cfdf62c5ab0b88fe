/** The database of a server goes away and comes back: requests are refused for now, and nothing needs a restart. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { clusterEnvironment } from "../harness/cluster.js"
import { withFolder } from "../harness/folders.js"
import { noPostgres } from "../harness/postgres.js"
import { withServer } from "../harness/server.js"
import { Databases } from "./databases.js"

const POLL_MS = 200

test("without its database a server answers 503 and is not ready; then it goes on", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  try {
    await withFolder(async folder => {
      const env = await clusterEnvironment(await databases.create(), folder)
      await withServer({ folders: [join(folder, "data")], env }, async server => {
        const client = server.client()
        const get = () => client.call("GET", { bucket: "bucket", key: "key" })
        const isReady = async () => (await server.admin("GET", "/health/ready")).status === 200
        assert.equal((await client.call("PUT", { bucket: "bucket" })).status, 200)
        assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: "before" })).status, 200)
        await databases.server.stop("immediate")
        const { status, header, text } = await get()
        assert.equal(status, 503)
        assert.equal(header("retry-after"), "1")
        assert.match(text, /ServiceUnavailable/)
        assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: "meanwhile" })).status, 503)
        while (await isReady()) await later(POLL_MS)
        await databases.server.start()
        while ((await get()).status !== 200) await later(POLL_MS)
        assert.equal((await get()).text, "before")
        while (!(await isReady())) await later(POLL_MS)
        assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: "after" })).status, 200)
        assert.equal((await get()).text, "after")
      })
    })
  } finally {
    await databases.stop()
  }
})
