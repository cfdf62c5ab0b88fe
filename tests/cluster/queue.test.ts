/** Queues in a store of three nodes: each delivers what any of them took, and any may die in between. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { ROOT_KEY } from "../../src/client/testing-store-process.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { TestNodes } from "../harness/nodes.js"
import { noPostgres } from "../harness/postgres.js"
import { QueueClient, type Job } from "../harness/queue-client.js"

const clientAt = (port: number): QueueClient => {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = ROOT_KEY
  return new QueueClient({ host: `127.0.0.1:${port}`, accessKey, secretKey })
}

/** Each job is delivered once: consumers at all nodes compete for them. */
async function compete(clients: readonly QueueClient[]): Promise<void> {
  const jobs = 300
  const deliveries = new Map<string, number>()
  let added = 0
  const produce = async (client: QueueClient, at: number): Promise<void> => {
    for (let number = 0; number < jobs / clients.length; number += 1) {
      await client.add("race", `${at} ${number}`, "?retry=300&replicate=2")
      added += 1
    }
  }
  const consume = async (client: QueueClient): Promise<void> => {
    while (deliveries.size < jobs || added < jobs) {
      const found = await client.get("race", "&count=5&timeout=500")
      for (const { body } of found) deliveries.set(body, (deliveries.get(body) ?? 0) + 1)
      if (found.length > 0) assert.equal(await client.ack(found.map(({ id }) => id)), found.length)
    }
  }
  await Promise.all([...clients.map(produce), ...clients.flatMap(client => [consume(client), consume(client)])])
  assert.deepEqual([deliveries.size, Math.max(...deliveries.values())], [jobs, 1])
}

/** A consumer at one node waits; a producer at another adds. */
async function wake(one: QueueClient, two: QueueClient): Promise<void> {
  const waiting = one.get("wake", "&timeout=20000")
  await later(300)
  const id = await two.add("wake", "from two", "?retry=300")
  const [job] = await waiting
  assert.equal(job?.id, id)
  assert.equal(await two.ack([id]), 1)
}

/** A node dies with jobs that it has added, and whose consumer is its client. */
async function die(nodes: TestNodes, clients: readonly QueueClient[]): Promise<void> {
  const [one, two, three] = clients
  assert.ok(one && two && three)
  for (let number = 0; number < 20; number += 1) await one.add("die", String(number), "?retry=2&replicate=2")
  await one.add("die", "once", "?retry=0")
  const taken = await one.get("die", "&count=21")
  assert.equal(taken.length, 21)
  assert.equal(await one.ack(taken.slice(0, 5).map(({ id }) => id)), 5)
  await nodes.at(1).kill()
  await two.add("die", "after", "?retry=2")
  const found: Job[] = []
  while (found.length < 16) {
    const some = await three.get("die", "&count=30&timeout=10000")
    assert.ok(some.length > 0, "what its consumer had comes again")
    found.push(...some)
    await two.ack(some.map(({ id }) => id))
  }
  const expected = [...taken.slice(5).map(({ body }) => body), "after"].filter(body => body !== "once")
  assert.deepEqual(found.map(({ body }) => body).toSorted(), expected.toSorted())
  await later(2_500)
  assert.deepEqual(await two.get("die", "&count=30"), [])
}

test(
  "jobs of three nodes: delivered once by any, awaited across nodes, none lost with a node",
  { skip: noPostgres },
  () =>
    withFolder(async folder => {
      const nodes = await TestNodes.empty(folder, ["--redundancy", "replica:1"])
      const clients: QueueClient[] = []
      try {
        for (let number = 0; number < 3; number += 1) {
          const port = await freePort()
          const node = await nodes.add(1, { environment: { HAYLOFT_QUEUE_LISTEN: `127.0.0.1:${port}` } })
          await node.start()
          clients.push(clientAt(port))
        }
        const [one, two] = clients
        assert.ok(one && two)
        await compete(clients)
        await wake(one, two)
        await die(nodes, clients)
      } finally {
        for (const client of clients) client.close()
        await nodes.stop()
      }
    }, quietParent()),
)
