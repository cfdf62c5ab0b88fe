/** Copies of a store of two nodes over a PostgreSQL: changes through both, in the order of their commits, and another sender after a crash. */
import assert from "node:assert/strict"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { COPIES } from "../../src/admin/index.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

const ROUNDS = 15
const KEYS = ["a", "b", "c"]
const POLL_MS = 100
const WAIT_MS = 60_000

async function keysOf(client: Client, bucket: string): Promise<readonly string[]> {
  const { body } = await client.call("GET", { bucket, query: "list-type=2" })
  return Array.from(
    body.toString().matchAll(/<Key>([^<]*)<\/Key>.*?<ETag>([^<]*)<\/ETag>/g),
    ([, key = "", etag = ""]) => `${key} ${etag}`,
  )
}

/** Waits until the target has everything, as any node says. */
async function copied(node: TestNode): Promise<void> {
  const admin = await node.admin()
  for (const deadline = performance.now() + WAIT_MS; performance.now() < deadline; await later(POLL_MS)) {
    const { phase, lag } = COPIES.parse(await admin.get("/v1/buckets/photos/copies"))
    if (phase === "following" && lag.objects === 0) return
  }
  assert.fail("not everything is copied")
}

test(
  "changes through two nodes reach the target in the end, also after the node that sends has crashed",
  { skip: noPostgres },
  () =>
    withFolder(async folder => {
      const far = await ServerProcess.start({ folders: [join(folder, "far")] })
      const target = new Client(parseEndpoint(far.endpoint), CREDENTIALS, REGION)
      const file = join(folder, "remotes.json")
      const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
      writeFileSync(file, JSON.stringify({ far: { endpoint: far.endpoint, region: REGION, ...key } }))
      chmodSync(file, 0o600)
      const nodes = await TestNodes.start(folder, { nodes: 2, foldersEach: 1, args: ["--remotes", file] })
      try {
        assert.equal((await target.call("PUT", { bucket: "data" })).status, 200)
        const both = [nodes.at(1).rawClient, nodes.at(2).rawClient]
        assert.equal((await both[0]?.call("PUT", { bucket: "photos" }))?.status, 200)
        const value = { store: "far", bucket: "data" }
        await (await nodes.at(2).admin()).put("/v1/buckets/photos/settings/copies", { value })
        const round = async (number: number, clients: readonly Client[]): Promise<void> => {
          await Promise.all(
            clients.flatMap((client, at) =>
              KEYS.map((name, i) =>
                (number + i + at) % 4 === 0
                  ? client.call("DELETE", { bucket: "photos", key: name })
                  : client.call("PUT", { bucket: "photos", key: name, body: `${number} of ${at}` }),
              ),
            ),
          )
        }
        for (let number = 0; number < ROUNDS; number += 1) await round(number, both)
        await copied(nodes.at(1))
        assert.deepEqual(await keysOf(target, "data"), await keysOf(nodes.at(1).rawClient, "photos"))
        // Either of them sends: the other one goes on.
        await nodes.at(1).kill()
        await round(ROUNDS, [nodes.at(2).rawClient])
        await copied(nodes.at(2))
        assert.deepEqual(await keysOf(target, "data"), await keysOf(nodes.at(2).rawClient, "photos"))
      } finally {
        if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
        await nodes.stop()
        await far.kill()
      }
    }, quietParent()),
)
