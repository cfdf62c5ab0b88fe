/** The database of a server goes away and comes back: requests are refused for now, and nothing needs a restart. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { clusterEnvironment } from "../harness/cluster.js"
import { withFolder } from "../harness/folders.js"
import { noPostgres } from "../harness/postgres.js"
import { withServer } from "../harness/server.js"
import { Cutter } from "./cutter.js"
import { Databases } from "./databases.js"

const POLL_MS = 200

test("without its database a server answers 503 and is not ready; then it goes on", { skip: noPostgres }, async () => {
  const databases = await Databases.start()
  const path = await Cutter.before(databases.server.port)
  try {
    await withFolder(async folder => {
      const env = await clusterEnvironment(path.urlOf(await databases.create()), folder)
      await withServer({ folders: [join(folder, "data")], env }, async server => {
        const client = server.client()
        const get = () => client.call("GET", { bucket: "bucket", key: "key" })
        const isReady = async () => (await server.admin("GET", "/health/ready")).status === 200
        assert.equal((await client.call("PUT", { bucket: "bucket" })).status, 200)
        const outages = {
          stopped: {
            begin: () => databases.server.stop("immediate"),
            end: () => databases.server.start(),
          },
          // Packets are dropped: nothing says that the database is away.
          silent: {
            begin: () => (path.isSilent = true),
            end: () => (path.isSilent = false),
          },
        }
        for (const [name, outage] of Object.entries(outages)) {
          assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: `before ${name}` })).status, 200)
          await outage.begin()
          const asked = [get(), client.call("PUT", { bucket: "bucket", key: name, body: "meanwhile" })]
          for (const { status, header, text } of await Promise.all(asked)) {
            assert.deepEqual([status, header("retry-after")], [503, "1"], name)
            assert.match(text, /ServiceUnavailable/)
          }
          await until("it is not ready", async () => !(await isReady()), POLL_MS)
          assert.equal((await client.call("PUT", { bucket: "bucket", key: name, body: "meanwhile" })).status, 503)
          await outage.end()
          await until("objects are read again", async () => (await get()).status === 200, POLL_MS)
          // Its connections come back one by one.
          await until("it is ready", isReady, POLL_MS)
          assert.equal((await get()).text, `before ${name}`)
        }
        assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: "after" })).status, 200)
        assert.equal((await get()).text, "after")
      })
    })
  } finally {
    await path.stop()
    await databases.stop()
  }
})
