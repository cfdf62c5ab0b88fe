/** Devices of a store with front threads fail, and hang. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { bodyBytes } from "../../sim/world/bodies.js"
import { missingForShim, Shim } from "../faults/shim.js"
import { withFolder } from "../harness/folders.js"
import { noNode24 } from "../harness/new-node.js"
import { until, UNTIL_MS_MAX } from "@hayloft/base/seams/clock/testing-until.js"
import { withFronts } from "./fronted.js"

const BUCKET = "devices"
const HANG_MS = 60_000
/** The number of the thread that keeps the port meanwhile. */
const ENGINE_THREAD = "0"
const missing = await missingForShim()
const skip = noNode24 || (missing !== undefined && `needs LD_PRELOAD and cc: ${missing}`)

test("the metadata log fails: no connection is refused, and a slow client does not hold the store up", { skip }, () =>
  withFolder(async folder => {
    const shim = await Shim.build(folder)
    shim.set([])
    const args = ["--stop-timeout", "1h", "--log-level", "warn"]
    await withFronts({ threads: 2, folders: 3, args, env: shim.env }, async store => {
      const { client, server } = store
      assert.equal((await client.call("PUT", { bucket: BUCKET })).status, 200)
      const slow = await store.open()
      await store.begin(slow.connection, "PUT", { bucket: BUCKET, key: "slow", body: bodyBytes("slow", MIB) }, 1_000)
      await store.inFlight(1)
      const written = new Map<string, Buffer>()
      const write = async (key: string): Promise<number> => {
        const body = bodyBytes(key, 700)
        // A connection may be closed with the thread that has accepted it, and is not refused.
        const answer = await client.call("PUT", { bucket: BUCKET, key, body }).catch((error: unknown) => {
          assert.doesNotMatch(String(error), /ECONNREFUSED/)
        })
        if (answer?.status === 200) written.set(key, body)
        return answer?.status ?? 0
      }
      assert.equal(await write("before"), 200)
      const path = `${store.folder}/`
      shim.set([{ prefix: path, calls: ["write", "fsync", "fdatasync"], nth: 1, forEver: true, how: { errno: "EIO" } }])
      assert.equal(await write("failing"), 503)
      shim.set([])
      let number = 0
      await until("writes succeed again", async () => (await write(`again ${(number += 1)}`)) === 200)
      assert.match(server.log, /store_opens_again/)
      assert.ok(await slow.connection.waitClosed(UNTIL_MS_MAX))
      // Front threads serve again, at the same port.
      const each = await store.untilEach(2, front => front !== ENGINE_THREAD)
      for (const [key, body] of written) {
        for (const { connection } of each) {
          assert.ok((await store.on(connection, "GET", { bucket: BUCKET, key })).body.equals(body), key)
        }
      }
      assert.doesNotMatch(server.log, /port_not_held/)
      assert.equal(await server.stop(), 0)
    })
  }),
)

test("a thread whose writes hang at a disk ends, and is started again meanwhile", { skip }, () =>
  withFolder(async folder => {
    const shim = await Shim.build(folder)
    shim.set([])
    await withFronts({ threads: 2, args: ["--log-level", "warn"], env: shim.env }, async store => {
      assert.equal((await store.client.call("PUT", { bucket: BUCKET })).status, 200)
      const [dying, staying] = await store.toEach(2)
      assert.ok(dying && staying)
      const prefix = `${store.folder}/disk1/volumes/`
      shim.set([{ prefix, calls: ["write", "fsync", "fdatasync"], nth: 1, forEver: true, how: { delayMs: HANG_MS } }])
      const body = bodyBytes("hung", 4 * MIB)
      await store.begin(await store.to(dying.front), "PUT", { bucket: BUCKET, key: "hung", body }, body.length)
      await until("a write hangs", () => shim.hits().length > 0)
      await store.end(dying.connection, "exit")
      await until("another thread serves", async () => {
        const { front, connection } = await store.open()
        connection.destroy()
        return front !== dying.front && front !== staying.front
      })
    })
  }),
)
