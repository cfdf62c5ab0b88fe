/** docs/operate/operate.md lists the metrics of a running server and of a node: all of them, and no others. */
import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { RPC_LIMITS, RpcMetrics, RpcServer } from "@hayloft/engine/rpc/index.js"
import { OWN } from "@hayloft/engine/rpc/testing-nodes.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { ROOT, withServer } from "../harness/server.js"

/** Names in the table that follows a mark. */
function documented(mark: string): readonly (string | undefined)[] {
  const page = readFileSync(join(ROOT, "docs/operate/operate.md"), "utf8")
  const table = page.slice(page.indexOf(`<!-- ${mark} -->`)).split("\n\n")[1] ?? ""
  return [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name).sort()
}

const shownIn = (text: string) => [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name).sort()

/** Parts of a store that have metrics only if they are switched on. */
const SWITCHES = ["--hot-copies", "8MiB", "--coordination", "--transforms", "--remotes"]

/** A file that names one remote store, of which there are numbers. */
function remoteStoresIn(folder: string): string {
  const path = join(folder, "remotes.json")
  const store = { endpoint: "http://127.0.0.1:1", accessKeyId: "a", secretAccessKey: "b" }
  writeFileSync(path, JSON.stringify({ away: store }), { mode: 0o600 })
  return path
}

test("the metrics of a running server are those documented", async () => {
  await withFolder(folder =>
    withServer({ folders: dataFolders(folder, 1), args: [...SWITCHES, remoteStoresIn(folder)] }, async server => {
      const { body } = await server.admin("GET", "/metrics")
      assert.deepEqual(documented("metrics"), shownIn(body.toString("utf8")))
    }),
  )
})

test("the metrics of a node are those documented", () => {
  const telemetry = new SimTelemetry()
  const clock = new SimClock()
  const net = new SimNetwork(clock, new SimRandom(1)).host("a")
  const seams = { net, clock, metrics: new RpcMetrics(telemetry) }
  assert.ok(new RpcServer(seams, { own: { ...OWN, node: "a" }, limits: RPC_LIMITS }))
  assert.deepEqual(documented("metrics of nodes"), shownIn(telemetry.metrics.render()))
})
