/** Queues: each node delivers what any of them took, and any may die in between. */
import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"
import { ROOT_KEY } from "@hayloft/client/testing-store-process.js"
import { QueueClient, type Job } from "../../harness/queue-client.js"
import type { Feature } from "./scene.js"

const RACED = 45
const LEFT = 8
const DONE = 3
/** Longer than jobs take from a delivery to their end. */
const RETRY_SECONDS = 10

const clientAt = (port: number): QueueClient => {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = ROOT_KEY
  return new QueueClient({ host: `127.0.0.1:${port}`, accessKey, secretKey })
}

const idsOf = (jobs: readonly Job[]): readonly string[] => jobs.map(({ id }) => id)

/** Each job is delivered once: consumers at all nodes compete for them. */
async function compete(clients: readonly QueueClient[]): Promise<void> {
  const deliveries = new Map<string, number>()
  const produce = async (client: QueueClient, at: number): Promise<void> => {
    for (let number = 0; number < RACED / clients.length; number += 1)
      await client.add("race", `${at} ${number}`, "?retry=300&replicate=2")
  }
  const consume = async (client: QueueClient): Promise<void> => {
    while (deliveries.size < RACED) {
      const found = await client.get("race", "&count=5&timeout=500")
      for (const { body } of found) deliveries.set(body, (deliveries.get(body) ?? 0) + 1)
      if (found.length > 0) assert.equal(await client.ack(idsOf(found)), found.length)
    }
  }
  await Promise.all([...clients.map(produce), ...clients.flatMap(client => [consume(client), consume(client)])])
  assert.deepEqual([deliveries.size, Math.max(...deliveries.values())], [RACED, 1])
}

/** A consumer at one node waits; a producer at another adds. */
async function wake(one: QueueClient, two: QueueClient): Promise<void> {
  const waiting = one.get("wake", "&timeout=60000")
  await later(300)
  const id = await two.add("wake", "from two", "?retry=300")
  const [job] = await waiting
  assert.equal(job?.id, id)
  assert.equal(await two.ack([id]), 1)
}

/** A node dies with jobs that it has added, and whose consumer is its client. */
async function die(clients: readonly QueueClient[], oneDead: () => Promise<void>): Promise<void> {
  const [one, two, three] = clients
  assert.ok(one && two && three)
  const retried = `?retry=${RETRY_SECONDS}`
  for (let number = 0; number < LEFT; number += 1) await one.add("die", String(number), `${retried}&replicate=2`)
  await one.add("die", "once", "?retry=0")
  const taken = await one.get("die", `&count=${LEFT + 1}`)
  assert.equal(taken.length, LEFT + 1)
  assert.equal(await one.ack(idsOf(taken.slice(0, DONE))), DONE)
  await oneDead()
  await two.add("die", "after", retried)
  const expected = [...taken.slice(DONE).map(({ body }) => body), "after"].filter(body => body !== "once")
  const found: Job[] = []
  while (found.length < expected.length) {
    const some = await three.get("die", "&count=30&timeout=60000")
    assert.ok(some.length > 0, "what its consumer had comes again")
    found.push(...some)
    await two.ack(idsOf(some))
  }
  assert.deepEqual(found.map(({ body }) => body).toSorted(), expected.toSorted())
  const againMs = (RETRY_SECONDS + 2) * 1_000
  assert.deepEqual(await two.get("die", `&count=30&timeout=${againMs}`), [])
}

export const QUEUES: Feature = {
  name: "jobs are delivered once by any node, awaited across nodes, and none is lost",
  run: async ({ queuePorts, beforeTheKill, oneDead }) => {
    const clients = queuePorts.map(clientAt)
    const [one, two] = clients
    assert.ok(one && two)
    try {
      await compete(clients)
      await wake(one, two)
      await beforeTheKill()
      await die(clients, oneDead)
    } finally {
      for (const client of clients) client.close()
    }
  },
}
