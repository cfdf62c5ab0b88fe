/** Silently lost data is reported: the bytes of blocks are gone, but their metadata exists. */
import assert from "node:assert/strict"
import { rm } from "node:fs/promises"
import { test } from "node:test"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { MIB } from "@hayloft/base/limits.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { SmallStore } from "./small-store.js"

const POLL_MS = 500

const lostBlocks = async (server: ServerProcess): Promise<string> =>
  /^hayloft_lost_blocks (\d+)$/m.exec(await server.metrics())?.[1] ?? "none"

/** Waits until the store reports so many lost blocks, and may lose so many disks: it is evaluated every few seconds. */
async function untilLost(server: ServerProcess, blocks: number, losses: number): Promise<void> {
  let found = ""
  const isLost = async (): Promise<boolean> => {
    const { repair, safety } = STORE_SCHEMAS.STATUS.parse(await server.report("/v1/status"))
    found = `${repair?.lostBlocks} blocks are lost, and ${safety.safeLosses} disks may be`
    return repair?.lostBlocks === blocks && safety.safeLosses === losses
  }
  await until(() => found, isLost, POLL_MS)
}

test("one folder without its volumes: status reports which objects are unreadable until they are deleted", async () => {
  await withFolder(async folder => {
    const server = await ServerProcess.start({ folders: dataFolders(folder, 1) })
    try {
      const store = new SmallStore([100, 70_000, 4 * MIB + 1])
      await store.make(server)
      await store.check(server)
      assert.equal(await lostBlocks(server), "0")
      await server.stop()
      await rm(`${dataFolders(folder, 1)[0]}/volumes`, { recursive: true })
      await server.launch()
      await untilLost(server, 3, -1)
      assert.equal(await lostBlocks(server), "3")
      const { stdout: status } = await server.hayloft(["status"])
      assert.match(
        status,
        /^NOT READABLE: .*something cannot be read today, because too few shards of some blocks are left/,
      )
      assert.match(status, /4\.1 MiB NOT READABLE/)
      assert.match(
        status,
        /at risk +all 4\.1 MiB of objects cannot be read now, in at least 2 objects, older versions or uploads, because/,
      )
      assert.match(status, /3 blocks \(4\.1 MiB\) NOT READABLE, in at least 2 objects, older versions or uploads/)
      const repair = await server.hayloft(["repair", "status"])
      assert.match(repair.stdout, /unreadable +object survivors\/first\/70000\n/)
      assert.match(repair.stdout, /unreadable +object survivors\/first\/4194305\n/)
      assert.doesNotMatch(repair.stdout, /first\/100\n/)
      await store.remove(server, "first")
      await store.put(server, "second")
      await untilLost(server, 0, 0)
      assert.equal(await lostBlocks(server), "0")
      await store.check(server)
    } catch (error) {
      throw new Error(`log of the server:\n${server.log}`, { cause: error })
    } finally {
      await server.kill()
    }
  })
})
