/**
 * Folders that are missing at a start: within the tolerance, reads and writes work as before and a returning folder
 * serves no stale data; beyond it, the start is refused with a one-line message.
 */
import assert from "node:assert/strict"
import { rename, rm } from "node:fs/promises"
import { test } from "node:test"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { SmallStore } from "./small-store.js"

const SIZES = [0, 4096, 4097, 5_000_001]

test("three of seven folders gone: reads and writes work, and the folders may return", async () => {
  await withFolder(async folder => {
    const folders = dataFolders(folder, 7)
    const server = await ServerProcess.start({ folders })
    try {
      const store = new SmallStore(SIZES)
      await store.make(server)
      const lost = [folders[0], folders[2], folders[6]].map(path => path ?? "")
      await server.stop()
      for (const path of lost) await rename(path, `${path}.away`)
      await server.launch()
      await store.check(server)
      await store.put(server, "meanwhile")
      const status = await server.hayloft(["status"])
      assert.match(status.stdout, /missing/)
      await server.kill()
      for (const path of lost) await rename(`${path}.away`, path)
      await server.launch()
      await store.check(server)
      await store.put(server, "after")
      await server.kill()
      await server.launch()
      await store.check(server)
    } catch (error) {
      throw new Error(`log of the server:\n${server.log}`, { cause: error })
    } finally {
      await server.kill()
    }
  })
})

test("four of seven folders gone: the start is refused in one line, and no file is touched", async () => {
  await withFolder(async folder => {
    const folders = dataFolders(folder, 7)
    const server = await ServerProcess.start({ folders })
    try {
      await server.stop()
      for (const path of folders.slice(0, 4)) await rm(path, { recursive: true })
      await assert.rejects(server.launch(), /devices of this store are missing/)
    } finally {
      await server.kill()
    }
  })
})
