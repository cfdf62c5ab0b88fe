/** A store that says that it is ready can be found by commands: its folders say where it is. */
import assert from "node:assert/strict"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { RUNTIME_FILE_NAME } from "@hayloft/client/credentials.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"

const POLL_MS = 10

/** Opens the file that says where the store is only once another file is there, and tells that it was asked to. */
const filterOf = (asked: string, go: string): string => `
const fs = require("node:fs")
const { open } = fs
fs.open = (path, ...rest) => {
  if (!String(path).endsWith("/${RUNTIME_FILE_NAME}")) return open(path, ...rest)
  fs.writeFileSync(${JSON.stringify(asked)}, "")
  const timer = setInterval(() => {
    if (!fs.existsSync(${JSON.stringify(go)})) return
    clearInterval(timer)
    open(path, ...rest)
  }, ${POLL_MS})
}
module.exports = () => ({ name: "held", handle: (exchange, next) => next(exchange) })
`

test("a store is ready once its folders say where it is", () =>
  withFolder(async folder => {
    const [asked, go, filter] = ["asked", "go", "filter.cjs"].map(name => join(folder, name))
    assert.ok(asked !== undefined && go !== undefined && filter !== undefined)
    writeFileSync(filter, filterOf(asked, go))
    const folders = dataFolders(folder, 1)
    const adminListen = `127.0.0.1:${await freePort()}`
    const store = StoreProcess.spawn({ dataFolders: folders, adminListen, args: ["--filter", filter] }, new RealClock())
    try {
      let isOver = false
      void store.exited.then(() => (isOver = true))
      const isAsked = (): boolean => {
        assert.ok(!isOver, store.output)
        return existsSync(asked)
      }
      await until("the filter is asked", isAsked, POLL_MS)
      assert.equal((await fetch(`http://${adminListen}/health/live`)).status, 200)
      assert.equal((await fetch(`http://${adminListen}/health/ready`)).status, 503)
      writeFileSync(go, "")
      await store.ready()
      assert.ok(existsSync(join(folders[0] ?? "", RUNTIME_FILE_NAME)))
    } finally {
      await store.stop()
    }
  }))
