/** Coordination in a store of three nodes: one holder whichever nodes clients use, and any node may die in between. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { CoordClient, RemoteFailure } from "../../src/client/index.js"
import { RealClock } from "../../src/seams/clock/real.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"

const CLOCK = new RealClock()
const NEVER = new AbortController().signal

const clientAt = (node: TestNode): CoordClient =>
  new CoordClient({ ...node.access, endpoint: node.adminEndpoint }, CLOCK, NEVER)

/** Clients of all nodes add one to a number in an object, each under the lock. */
async function count(nodes: TestNodes, clients: readonly CoordClient[]): Promise<void> {
  const rounds = 5
  const tokens: number[] = []
  let inside = 0
  const work = async (client: CoordClient, at: number): Promise<void> => {
    const session = await client.begin({ name: `client ${at}` })
    for (let round = 0; round < rounds; round += 1) {
      const lock = await session.acquire("count/lock", { waitSeconds: Infinity })
      assert.ok(lock)
      inside += 1
      assert.equal(inside, 1, "two hold the lock")
      tokens.push(lock.token)
      const s3 = nodes.at((at % 3) + 1).rawClient
      const found = await s3.call("GET", { bucket: "state", key: "number" })
      const number = found.status === 200 ? Number(Buffer.from(found.body).toString()) : 0
      const headers = { "x-hayloft-fence": lock.fence }
      const put = await s3.call("PUT", { bucket: "state", key: "number", body: String(number + 1), headers })
      assert.equal(put.status, 200, Buffer.from(put.body).toString())
      inside -= 1
      await lock.release()
    }
    await session.end()
  }
  await Promise.all([...clients, ...clients].map(work))
  const { body } = await nodes.at(1).rawClient.call("GET", { bucket: "state", key: "number" })
  assert.equal(Buffer.from(body).toString(), String(2 * clients.length * rounds))
  assert.deepEqual(
    [...tokens].sort((a, b) => a - b),
    tokens,
  )
}

/** The node that a client uses dies: its session goes on at another node, and so does who waits. */
async function die(nodes: TestNodes, clients: readonly CoordClient[]): Promise<void> {
  const [one, two, three] = clients
  assert.ok(one && two && three)
  const begun = await one.begin({ name: "lost", leaseSeconds: 3, graceSeconds: 2 })
  const lost = await begun.acquire("die/lock")
  assert.ok(lost)
  await begun.write("die/members/one", "1")
  const session = await two.begin({ leaseSeconds: 3, graceSeconds: 2 })
  const waiting = session.acquire("die/lock", { waitSeconds: Infinity })
  const { upTo } = await three.changes("die/")
  await nodes.at(1).kill()
  const lock = await waiting
  assert.ok(lock && lock.token > lost.token)
  // The client of the node that died had noticed before.
  assert.equal(begun.signal.aborted, true)
  assert.equal(await three.read("die/members/one"), undefined)
  const kinds = (await three.changes("die/", upTo)).changes.map(({ kind, path }) => `${kind} ${path}`)
  assert.deepEqual(kinds.toSorted(), ["acquired die/lock", "deleted die/members/one", "released die/lock"])
  const put = (fence: string) =>
    nodes
      .at(3)
      .rawClient.call("PUT", { bucket: "state", key: "late", body: "x", headers: { "x-hayloft-fence": fence } })
  assert.deepEqual([(await put(lost.fence)).status, (await put(lock.fence)).status], [412, 200])
  await session.end()
}

/** Nodes are files: those that follow them learn that one has come and gone. */
async function lists(client: CoordClient): Promise<void> {
  const states = async (): Promise<readonly string[]> => {
    const found: string[] = []
    for await (const { path } of client.files("hayloft/nodes/")) {
      const { name, state } = JSON.parse(String((await client.read(path))?.content)) as { name: string; state: string }
      found.push(`${name} ${state}`)
    }
    return found
  }
  while ((await states()).join() !== "node-1 silent,node-2 serving,node-3 serving") await later(300)
}

test("locks of three nodes: one holder, awaited across nodes, passed on when a node dies", { skip: noPostgres }, () =>
  withFolder(async folder => {
    const nodes = await TestNodes.start(folder, {
      ...{ nodes: 3, foldersEach: 1 },
      args: ["--redundancy", "replica:2", "--coordination"],
    })
    const clients = [1, 2, 3].map(number => clientAt(nodes.at(number)))
    try {
      await nodes.at(1).client.createBucket("state")
      await count(nodes, clients)
      await die(nodes, clients)
      const [, two] = clients
      assert.ok(two)
      await lists(two)
      await assert.rejects(
        two.write("hayloft/nodes/x", "x"),
        (error: unknown) => error instanceof RemoteFailure && error.status === 403,
      )
    } finally {
      if (process.env["SHOW"]) for (const node of nodes.all) console.error(node.name, node.output)
      for (const client of clients) client.close()
      await nodes.stop()
    }
  }, quietParent()),
)
