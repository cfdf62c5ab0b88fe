/** Events of a real server: they outlast kill -9, and a follower sees those that occur. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { EVENT_PAGE } from "@hayloft/admin/store/event-schemas.js"
import { bindChild, run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { HAYLOFT, ServerProcess } from "../harness/server.js"

const TIMEOUT_MS = 180_000

async function codesOf(folders: readonly string[], args: readonly string[]): Promise<readonly string[]> {
  const { stdout, stderr, code } = await run(HAYLOFT, ["events", "--json", ...args, "--data", folders[0] ?? ""])
  assert.equal(code, 0, stderr)
  const lines = stdout.split("\n").filter(line => line !== "")
  return EVENT_PAGE.shape.events.parse(lines.map(line => JSON.parse(line) as unknown)).map(event => event.code)
}

/** The same from the admin API: for looks that are repeated. */
async function shownBy(server: ServerProcess): Promise<readonly string[]> {
  return EVENT_PAGE.parse(await server.report("/v1/events")).events.map(({ code }) => code)
}

test("the start, a change and the stop of a server are events, also after kill -9", { timeout: TIMEOUT_MS }, () =>
  withFolder(async folder => {
    const folders = dataFolders(folder, 2)
    const server = await ServerProcess.start({ folders })
    try {
      const child = spawn(HAYLOFT, ["events", "--follow", "--json", "--data", folders[0] ?? ""])
      bindChild(child)
      let followed = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => (followed += text))
      const change = ["redundancy", "set", "replica:2", "--yes", "--data", folders[0] ?? ""]
      const makeChange = async () => {
        const { stderr, code } = await run(HAYLOFT, change)
        assert.equal(code, 0, stderr)
        await later(1_500)
      }
      // An equal event is counted with the one before, and is not followed: the first change comes once the command follows.
      const isFollowing = async (): Promise<boolean> =>
        /^hayloft_http_in_flight\{server="admin"\} [1-9]/m.test((await server.admin("GET", "/metrics")).text)
      await until("the command follows", isFollowing, 100)
      const isFollowed = async (): Promise<boolean> => {
        await makeChange()
        return followed.includes("store_changed")
      }
      await until("a change is followed", isFollowed, 0)
      child.kill("SIGINT")
      let kills = 0
      // Events of the last second before a kill may be lost.
      const isKept = async (): Promise<boolean> => {
        await makeChange()
        await server.kill()
        await server.launch()
        kills += 1
        return (await shownBy(server)).includes("store_changed")
      }
      await until("a change is shown after a kill", isKept, 0)
      await server.stop()
      await server.launch()
      const lifeOf = (codes: readonly string[]) => codes.filter(code => ["started", "stopping"].includes(code))
      await until("its start is shown", async () => lifeOf(await shownBy(server))[0] === "started", 100)
      const life = lifeOf(await codesOf(folders, ["--level", "info"]))
      assert.deepEqual(life.slice(0, 3), ["started", "stopping", "started"])
      assert.ok(life.length >= 2 + kills, life.join())
      assert.deepEqual(await codesOf(folders, ["--code", "stopping"]), ["stopping"])
    } finally {
      await server.kill()
    }
  }),
)
