/** A data folder that another process claims, as a process on another machine may if folders are shared. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { beginIncarnation, readSuperblock } from "@hayloft/engine/device/index.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test("a server whose folder another process claims stops immediately, in the middle of writes; the next start has all of them", () =>
  withFolder(folder => {
    const [first = "", ...others] = dataFolders(folder, 3)
    return withServer({ folders: [first, ...others] }, async server => {
      const client = server.client()
      assert.equal((await client.call("PUT", { bucket: "taken" })).status, 200)
      const put = (key: string) => client.call("PUT", { bucket: "taken", key, body: key })
      const { pid } = server
      const disk = new RealDisk()
      const superblock = await readSuperblock(disk, first)
      assert.ok(superblock)
      await beginIncarnation(disk, first, superblock)
      let written = 0
      const hasEnded = async (): Promise<boolean> => {
        if ((await put(`${written}`).catch(() => undefined))?.status === 200) written += 1
        return !isAlive(pid)
      }
      await until(() => `the server has ended:\n${server.log}`, hasEnded)
      assert.match(server.log, /stopping_folder_ownership_lost/)
      await server.launch()
      for (let i = 0; i < written; i += 1)
        assert.equal((await client.call("GET", { bucket: "taken", key: `${i}` })).text, `${i}`)
    })
  }))
