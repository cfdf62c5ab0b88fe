/** Nodes that lose the others, or the database: what they answer, what they report, and that they recover. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { PeerNetwork } from "../harness/peer-network.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { BUCKET, isSettled, statusSays } from "./stores.js"

const POLL_MS = 100
const FOLDERS = 2

/** Resolves with the status and the reasons once the node is ready, or once it is not. */
async function readiness(node: TestNode, isReady: boolean): Promise<string> {
  for (;;) {
    const answer = await fetch(`${node.adminEndpoint}/health/ready`)
    const text = await answer.text()
    if (answer.ok === isReady) return text
    await wait(POLL_MS)
  }
}

const requestTo = ({ rawClient }: TestNode, key: string) => rawClient.call("GET", { bucket: BUCKET, key })

test(
  "a node without its peers reports that it is not ready, and recovers; so do all without the database",
  { skip: noPostgres || process.platform !== "linux" },
  async () => {
    await withFolder(async folder => {
      const network = new PeerNetwork()
      const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:4+2"])
      try {
        for (let i = 0; i < 3; i += 1) {
          const node = await nodes.add(FOLDERS)
          await node.start(await network.argsOf(node))
        }
        const [first, second, third] = [nodes.at(1), nodes.at(2), nodes.at(3)]
        await first.client.createBucket(BUCKET)
        await first.client.put({ bucket: BUCKET, key: "small", body: Buffer.from("in its row") })
        await first.client.put({ bucket: BUCKET, key: "large", body: Buffer.alloc(500_000, "x") })
        await statusSays(
          first,
          ({ devices }) => devices.filter(({ state }) => state === "active").length === 3 * FOLDERS,
        )
        await isSettled(first)

        // The load uses the two others: a balancer asks for readiness.
        const load = await Load.begin([first, second], { bucket: BUCKET })
        network.cut(third)
        assert.match(await readiness(third, false), /only 2 of 6 devices respond to this node/)
        assert.equal((await requestTo(third, "small")).text, "in its row", "what needs no peers is served")
        const { status, header } = await requestTo(third, "large")
        assert.deepEqual([status, header("retry-after")], [503, "1"])
        const { health } = await statusSays(first, ({ health: { reasons } }) =>
          /cannot reach|cut off/.test(reasons.join()),
        )
        assert.match(health.reasons.join("\n"), /node-3/)
        await readiness(first, true)
        await load.goesOn()
        network.heal(third)
        await readiness(third, true)
        load.add(third)
        await load.goesOn()
        await load.end()
        const { devices } = await isSettled(first)
        assert.ok(
          devices.every(({ state }) => state === "active"),
          "no device was offline for so short a time",
        )

        await nodes.databases.server.stop("immediate")
        for (const node of nodes.all) {
          await readiness(node, false)
          const answer = await requestTo(node, "small")
          assert.deepEqual([answer.status, answer.header("retry-after")], [503, "1"])
        }
        await nodes.databases.server.start()
        for (const node of nodes.all) {
          await readiness(node, true)
          assert.equal((await requestTo(node, "small")).status, 200)
        }
        await load.check(nodes.all)
      } catch (error) {
        if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
        throw error
      } finally {
        await nodes.stop()
        network.close()
      }
    }, quietParent())
  },
)
