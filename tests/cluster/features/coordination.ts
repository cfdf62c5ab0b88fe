/** Coordination: one holder whichever nodes clients use, and any node may die in between. */
import assert from "node:assert/strict"
import { CoordClient, RemoteFailure } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import type { TestNode, TestNodes } from "../../harness/nodes.js"
import { eventually, type Feature, type Scene } from "./scene.js"

const CLOCK = new RealClock()
const NEVER = new AbortController().signal
const BUCKET = "state"
const ROUNDS = 2
/** A lost client loses its locks soon; the others keep theirs, however busy the machine is. */
const LEASE_OF_LOST = { leaseSeconds: 10, graceSeconds: 2 }
const LEASE = { leaseSeconds: 60 }

const clientAt = (node: TestNode): CoordClient =>
  new CoordClient({ ...node.access, endpoint: node.adminEndpoint }, CLOCK, NEVER)

/** Clients of all nodes add one to a number in an object, each under the lock. */
async function count(nodes: TestNodes, clients: readonly CoordClient[]): Promise<void> {
  const tokens: number[] = []
  let inside = 0
  const work = async (client: CoordClient, at: number): Promise<void> => {
    const session = await client.begin({ name: `client ${at}`, ...LEASE })
    for (let round = 0; round < ROUNDS; round += 1) {
      const lock = await session.acquire("count/lock", { waitSeconds: Infinity })
      assert.ok(lock)
      inside += 1
      assert.equal(inside, 1, "two hold the lock")
      tokens.push(lock.token)
      const s3 = nodes.at((at % 3) + 1).rawClient
      const found = await s3.call("GET", { bucket: BUCKET, key: "number" })
      const number = found.status === 200 ? Number(found.text) : 0
      const headers = { "x-hayloft-fence": lock.fence }
      const put = await s3.call("PUT", { bucket: BUCKET, key: "number", body: String(number + 1), headers })
      assert.equal(put.status, 200, put.text)
      inside -= 1
      await lock.release()
    }
    await session.end()
  }
  await Promise.all(clients.map(work))
  const { text } = await nodes.at(1).rawClient.call("GET", { bucket: BUCKET, key: "number" })
  assert.equal(text, String(clients.length * ROUNDS))
  assert.deepEqual(
    [...tokens].sort((a, b) => a - b),
    tokens,
  )
}

/** The node that a client uses dies: its session goes on at another node, and so does who waits. */
async function die({ nodes, oneDead }: Scene, clients: readonly CoordClient[]): Promise<void> {
  const [one, two, three] = clients
  assert.ok(one && two && three)
  const begun = await one.begin({ name: "lost", ...LEASE_OF_LOST })
  const lost = await begun.acquire("die/lock")
  assert.ok(lost)
  await begun.write("die/members/one", "1")
  const session = await two.begin(LEASE)
  const waiting = session.acquire("die/lock", { waitSeconds: Infinity })
  const { upTo } = await three.changes("die/")
  await oneDead()
  const lock = await waiting
  assert.ok(lock && lock.token > lost.token)
  // The client of the node that died had noticed before.
  assert.equal(begun.signal.aborted, true)
  assert.equal(await three.read("die/members/one"), undefined)
  const kinds = (await three.changes("die/", upTo)).changes.map(({ kind, path }) => `${kind} ${path}`)
  assert.deepEqual(kinds.toSorted(), ["acquired die/lock", "deleted die/members/one", "released die/lock"])
  const put = (fence: string) =>
    nodes.at(3).rawClient.call("PUT", { bucket: BUCKET, key: "late", body: "x", headers: { "x-hayloft-fence": fence } })
  assert.deepEqual([(await put(lost.fence)).status, (await put(lock.fence)).status], [412, 200])
  await session.end()
}

/** Nodes are files: those that follow them learn that one has come and gone. */
async function states(client: CoordClient): Promise<string> {
  const found: string[] = []
  for await (const { path } of client.files("hayloft/nodes/")) {
    const { name, state } = JSON.parse(String((await client.read(path))?.content)) as { name: string; state: string }
    found.push(`${name} ${state}`)
  }
  return found.join()
}

export const COORDINATION: Feature = {
  name: "a lock has one holder, is awaited across nodes, and passed on",
  run: async scene => {
    const { nodes, beforeTheKill } = scene
    const clients = nodes.all.map(clientAt)
    const [, two] = clients
    assert.ok(two)
    try {
      await nodes.at(1).client.createBucket(BUCKET)
      await count(nodes, clients)
      await beforeTheKill()
      await die(scene, clients)
      const expected = "node-1 silent,node-2 serving,node-3 serving"
      await eventually("the dead node is silent", async () => (await states(two)) === expected)
      await assert.rejects(
        two.write("hayloft/nodes/x", "x"),
        (error: unknown) => error instanceof RemoteFailure && error.status === 403,
      )
    } finally {
      for (const client of clients) client.close()
    }
  },
}
