/** A data folder that is emptied, or unmounted and mounted again, while its store runs. */
import assert from "node:assert/strict"
import { cp, readdir, rename, rm } from "node:fs/promises"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer, type ServerProcess } from "../harness/server.js"
import { settled, SmallStore, statesOf } from "./small-store.js"

const STATE_TIMEOUT_MS = 60_000
const POLL_MS = 250

async function untilState(server: ServerProcess, folder: string, state: string): Promise<void> {
  for (const deadline = performance.now() + STATE_TIMEOUT_MS; ; await later(POLL_MS)) {
    const states = await statesOf(server)
    if (states.get(folder) === state) return
    assert.ok(performance.now() < deadline, `${folder} is ${states.get(folder)}, not ${state}\n${server.log}`)
  }
}

async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    await rm(`${folder}/${name}`, { recursive: true, force: true, maxRetries: 20 })
}

test("a folder emptied while the store runs is rebuilt automatically; another disk may then be lost", () =>
  withFolder(folder => {
    const folders = dataFolders(folder, 3)
    const [first = "", , third = ""] = folders
    return withServer({ folders }, async server => {
      const store = new SmallStore([100, 70_000, 5_000_001])
      await store.make(server)
      await emptyFolder(third)
      await untilState(server, third, "offline")
      await store.check(server)
      await store.put(server, "meanwhile")
      await settled(server)
      await server.stop()
      await rm(first, { recursive: true })
      await server.launch()
      await store.check(server)
    })
  }))

test("a folder with only its control record is the same device, damaged: the store starts and names the remedy", () =>
  withFolder(folder => {
    const folders = dataFolders(folder, 3)
    const [first = "", , third = ""] = folders
    return withServer({ folders }, async server => {
      const store = new SmallStore([100, 70_000])
      await store.make(server)
      await server.stop()
      await emptyFolder(third)
      for (const name of ["control", "control.second"]) await cp(`${first}/${name}`, `${third}/${name}`)
      await server.launch()
      const line = /Warning .*holds the remains of device [0-9a-f]{16}, .* hayloft device replace [0-9a-f]{16} /
      while (!line.test(server.log)) await later(POLL_MS)
      await store.check(server)
      await settled(server)
    })
  }))

test("a folder that was unmounted and is mounted again is the same device", () =>
  withFolder(folder => {
    const folders = dataFolders(folder, 3)
    const [, , third = ""] = folders
    return withServer({ folders }, async server => {
      const store = new SmallStore([100, 70_000])
      await store.make(server)
      await rename(third, `${third}.away`)
      await untilState(server, third, "offline")
      await store.put(server, "meanwhile")
      await rename(`${third}.away`, third)
      await settled(server)
      await store.check(server)
    })
  }))
