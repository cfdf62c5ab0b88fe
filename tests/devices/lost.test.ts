/** Silently lost data is reported: the bytes of blocks are gone, but their metadata exists. */
import assert from "node:assert/strict"
import { rm } from "node:fs/promises"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { SmallStore } from "./small-store.js"

const POLLS_MAX = 200
const POLL_MS = 250

const lostBlocks = async (server: ServerProcess): Promise<string> =>
  /^hayloft_lost_blocks (\d+)$/m.exec(await server.metrics())?.[1] ?? "none"

/** Returns the output of `status` once its first line begins with this: safety is evaluated every few seconds. */
async function statusFrom(server: ServerProcess, verdict: string): Promise<string> {
  for (let polls = 0; ; polls += 1) {
    const { stdout } = await server.hayloft(["status"])
    if (stdout.startsWith(verdict)) return stdout
    assert.ok(polls < POLLS_MAX, `not ${verdict}: ${stdout}`)
    await later(POLL_MS)
  }
}

test("one folder without its volumes: status reports which objects are unreadable until they are deleted", async () => {
  await withFolder(async folder => {
    const server = await ServerProcess.start({ folders: dataFolders(folder, 1) })
    try {
      const store = new SmallStore([100, 70_000, 10_000_001])
      await store.make(server)
      await store.check(server)
      assert.equal(await lostBlocks(server), "0")
      await server.stop()
      await rm(`${dataFolders(folder, 1)[0]}/volumes`, { recursive: true })
      await server.launch()
      const status = await statusFrom(server, "NOT READABLE: ")
      assert.match(status, /something cannot be read today, because too few shards of some blocks are left/)
      assert.match(status, /9\.6 MiB NOT READABLE/)
      assert.match(status, /4 blocks \(9\.6 MiB\) NOT READABLE/)
      assert.equal(await lostBlocks(server), "4")
      const repair = await server.hayloft(["repair", "status"])
      assert.match(repair.stdout, /unreadable +object survivors\/first\/70000\n/)
      assert.match(repair.stdout, /unreadable +object survivors\/first\/10000001\n/)
      assert.doesNotMatch(repair.stdout, /first\/100\n/)
      await store.remove(server, "first")
      await store.put(server, "second")
      await statusFrom(server, "unprotected: ")
      assert.equal(await lostBlocks(server), "0")
      await store.check(server)
    } catch (error) {
      throw new Error(`log of the server:\n${server.log}`, { cause: error })
    } finally {
      await server.kill()
    }
  })
})
