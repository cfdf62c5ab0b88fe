/**
 * Folders that are missing at a start, as many as the redundancy tolerates: reads and writes work as before, and a folder
 * that returns after a kill serves no stale data.
 */
import assert from "node:assert/strict"
import { rename } from "node:fs/promises"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer } from "../harness/server.js"
import { SmallStore } from "./small-store.js"

/** An empty one, the longest with its row, the shortest in a block, and one of two blocks. */
const SIZES = [0, 4096, 4097, 4 * MIB + 1]

test("three of seven folders gone: reads and writes work, and the folders may return", () =>
  withFolder(folder => {
    const folders = dataFolders(folder, 7)
    return withServer({ folders }, async server => {
      const store = new SmallStore(SIZES)
      await store.make(server)
      await store.put(server, "to be deleted")
      const lost = [folders[0], folders[2], folders[6]].map(path => path ?? "")
      await server.stop()
      for (const path of lost) await rename(path, `${path}.away`)
      await server.launch()
      await store.check(server)
      await store.put(server, "meanwhile")
      await store.remove(server, "to be deleted")
      const status = await server.hayloft(["status"])
      assert.match(status.stdout, /missing/)
      await server.kill()
      for (const path of lost) await rename(`${path}.away`, path)
      await server.launch()
      await store.check(server)
      await store.put(server, "after")
      await store.check(server)
    })
  }))
