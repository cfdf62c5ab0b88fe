/**
 * Nodes that are restarted, lose the others, or lose the database, one store after another trouble: what they answer, what
 * they report, and that they recover. Clients see nothing that a retry does not solve, and lose nothing.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { PeerNetwork } from "../harness/peer-network.js"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { areSettled, BUCKET, isSettled, statusSays } from "./stores.js"

const POLL_MS = 250
const NODES = 3
const CLIENTS = 1
const REQUESTS = 10
/** Longer than statements wait for the database. */
const AWAY_MS = 8_000

/** Resolves with the status and the reasons once the node is ready, or once it is not. */
async function readiness(node: TestNode, isReady: boolean): Promise<string> {
  let text = ""
  const isSo = async (): Promise<boolean> => {
    const answer = await fetch(`${node.adminEndpoint}/health/ready`)
    text = await answer.text()
    return answer.ok === isReady
  }
  await until(() => `${node.name} is ${isReady ? "ready" : "not ready"}: ${text}`, isSo, POLL_MS)
  return text
}

const requestTo = ({ rawClient }: TestNode, key: string) => rawClient.call("GET", { bucket: BUCKET, key })

async function newBucket({ client }: TestNode, bucket: string) {
  await client.createBucket(bucket)
  return { bucket, clients: CLIENTS }
}

async function areRestarted(nodes: TestNodes, network: PeerNetwork): Promise<void> {
  const load = await Load.begin(nodes.all, await newBucket(nodes.at(1), "restarts"))
  for (const node of nodes.all) {
    await node.stop()
    await load.goesOn(REQUESTS)
    await node.start(await network.argsOf(node))
    await load.goesOn(REQUESTS)
  }
  await load.end()
  await load.check(nodes.all)
}

async function losesItsPeers(nodes: TestNodes, network: PeerNetwork): Promise<void> {
  const [first, second, third] = [nodes.at(1), nodes.at(2), nodes.at(3)]
  await isSettled(first)
  // The load uses the two others: a balancer asks for readiness.
  const load = await Load.begin([first, second], await newBucket(first, "cut-off"))
  network.cut(third)
  assert.match(await readiness(third, false), /only 1 of 3 devices respond to this node/)
  assert.equal((await requestTo(third, "small")).text, "in its row", "what needs no peers is served")
  const { status, header } = await requestTo(third, "large")
  assert.deepEqual([status, header("retry-after")], [503, "1"])
  const { health } = await statusSays(first, ({ health: { reasons } }) => /cannot reach|cut off/.test(reasons.join()))
  assert.match(health.reasons.join("\n"), /node-3/)
  await readiness(first, true)
  await load.goesOn(REQUESTS)
  network.heal(third)
  await readiness(third, true)
  load.add(third)
  await load.goesOn(REQUESTS)
  await load.end()
  await load.check(nodes.all)
  const { devices } = await isSettled(first)
  assert.ok(
    devices.every(({ state }) => state === "active"),
    "no device was offline for so short a time",
  )
}

async function loseTheDatabase(nodes: TestNodes): Promise<void> {
  const first = nodes.at(1)
  const processes = nodes.all.map(({ process }) => process)
  const load = await Load.begin(nodes.all, { ...(await newBucket(first, "database-away")), attemptsMax: Infinity })
  await nodes.databases.server.stop("immediate")
  for (const node of nodes.all) {
    await readiness(node, false)
    const answer = await requestTo(node, "small")
    assert.deepEqual([answer.status, answer.header("retry-after")], [503, "1"])
  }
  await wait(AWAY_MS)
  await nodes.databases.server.start()
  for (const node of nodes.all) {
    await readiness(node, true)
    assert.equal((await requestTo(node, "small")).status, 200)
  }
  await load.goesOn(REQUESTS)
  await load.end()
  const codes = [...load.failedAttempts.keys()]
  assert.ok(codes.length > 0, "the outage was noticed")
  for (const code of codes) assert.match(code, /^(SlowDown|ServiceUnavailable|Error: node-\d does not respond)$/)
  assert.deepEqual(
    nodes.all.map(({ process }) => process),
    processes,
  )
  // A device that was taken offline would be rebuilt first, and say so.
  const { devices } = await statusSays(first, status => status.devices.every(({ state }) => state !== "missing"))
  assert.ok(
    devices.every(({ state }) => state === "active"),
    JSON.stringify(devices.map(({ state, reason }) => [state, reason])),
  )
  await load.check(nodes.all)
}

test("three nodes in trouble", { skip: noPostgres || process.platform !== "linux" }, async t => {
  await withFolder(async folder => {
    const network = new PeerNetwork()
    const nodes = await TestNodes.empty(folder, ["--redundancy", "ec:2+1"], true)
    try {
      for (let i = 0; i < NODES; i += 1) {
        const node = await nodes.add(1)
        await node.start(await network.argsOf(node))
      }
      const { client } = nodes.at(1)
      await client.createBucket(BUCKET)
      await client.put({ bucket: BUCKET, key: "small", body: Buffer.from("in its row") })
      await client.put({ bucket: BUCKET, key: "large", body: Buffer.alloc(50_000, "x") })
      await areSettled(nodes.at(1), NODES)
      await t.test("nodes restarted one after another under load fail no request", () => areRestarted(nodes, network))
      await t.test("a node without its peers reports that it is not ready, and recovers", () =>
        losesItsPeers(nodes, network),
      )
      await t.test("while the database is away no node is ready, and requests are answered with 503", () =>
        loseTheDatabase(nodes),
      )
    } catch (error) {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      throw error
    } finally {
      await nodes.end()
      network.close()
    }
  }, quietParent())
})
