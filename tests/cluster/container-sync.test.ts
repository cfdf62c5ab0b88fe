/** Container sync over several nodes: one of them sends, and another goes on when it is gone; each sees the timestamps of all. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { ROOT_KEY } from "../../src/client/testing-store-process.js"
import { freePort } from "../harness/free-port.js"
import { noPostgres } from "../harness/postgres.js"
import { SwiftUser } from "../swift/world.js"
import { withNodes } from "./stores.js"

const WAIT_MS = 120_000
const POLL_MS = 100
const KEY = "key of both"

async function userOf(port: number): Promise<SwiftUser> {
  const headers = { "X-Auth-User": ROOT_KEY.accessKeyId, "X-Auth-Key": ROOT_KEY.secretAccessKey }
  const signedIn = await fetch(`http://127.0.0.1:${port}/auth/v1.0`, { headers })
  const url = new URL(signedIn.headers.get("x-storage-url") ?? "")
  return new SwiftUser(port, signedIn.headers.get("x-auth-token") ?? "", url.pathname)
}

/** Waits until the other container has what this one has. */
async function arrived(user: SwiftUser, names: readonly string[]): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; performance.now() < deadline; await later(POLL_MS)) {
    const pages = await Promise.all(["source", "target"].map(name => user.call("GET", `/${name}`)))
    if (pages.every(({ text }) => text.trim() === names.join("\n"))) return
  }
  assert.fail("not all has arrived")
}

test("one node sends the changes of all, and another goes on when it has crashed", { skip: noPostgres }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-sync-nodes-"))
  const [first, second] = [await freePort(), await freePort()]
  const realms = join(folder, "realms.conf")
  // The other cluster is this one: a node that stays.
  await writeFile(realms, ["[all]", "key = k", `cluster_here = http://127.0.0.1:${second}/v1/`].join("\n"))
  const args = (port: number) => ["--swift-listen", `127.0.0.1:${port}`, "--swift-sync-realms", realms]
  try {
    await withNodes({ nodes: 2, foldersEach: 2 }, async nodes => {
      for (const [index, port] of [first, second].entries()) {
        await nodes.at(index + 1).stop()
        await nodes.at(index + 1).start(args(port))
      }
      const [one, two] = [await userOf(first), await userOf(second)]
      const account = two.account.slice("/v1/".length)
      assert.equal((await two.call("PUT", "/target", { headers: { "X-Container-Sync-Key": KEY } })).status, 201)
      const headers = { "X-Container-Sync-Key": KEY, "X-Container-Sync-To": `//all/here/${account}/target` }
      assert.equal((await one.call("PUT", "/source", { headers })).status, 201)
      // Both nodes change the same object, and others.
      const names = Array.from({ length: 20 }, (_, number) => `object ${String(number).padStart(2, "0")}`)
      const paths = names.map(name => `/source/${encodeURIComponent(name)}`)
      await Promise.all(
        paths.flatMap(path => [one, two].map(user => user.call("PUT", path, { body: `of ${user.token}` }))),
      )
      await arrived(two, names)
      await nodes.at(1).kill()
      await two.call("DELETE", paths[0] ?? "")
      await two.call("PUT", "/source/zz", { body: "after the crash" })
      await arrived(two, [...names.slice(1), "zz"])
      for (const name of [...names.slice(1), "zz"]) {
        const [from, to] = await Promise.all(
          ["source", "target"].map(each => two.call("GET", `/${each}/${encodeURIComponent(name)}`)),
        )
        assert.equal(to?.text, from?.text, name)
        assert.equal(to?.header("x-timestamp"), from?.header("x-timestamp"), name)
      }
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
