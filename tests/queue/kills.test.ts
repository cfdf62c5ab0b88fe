/**
 * Jobs of a real server that is killed again and again: none is lost, and one with retry 0 is delivered once at most. Without
 * kills each is delivered once. `npm run queue-kills` does it with 10,000 jobs.
 */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { freePort } from "../harness/free-port.js"
import { withFolder } from "../harness/folders.js"
import { QueueClient, type Job } from "../harness/queue-client.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const JOBS = Number(process.env["QUEUE_JOBS"] ?? 1_000)
const KILLS = JOBS / 250
const PRODUCERS = 4
const CONSUMERS = 3
/** One in so many is delivered at most once. */
const ONCE_EVERY = 5
const RETRY_MS = 50

class Ledger {
  private readonly deliveries = new Map<string, number>()

  note(jobs: readonly Job[]): void {
    for (const { body } of jobs) this.deliveries.set(body, this.of(body) + 1)
  }

  of(body: string): number {
    return this.deliveries.get(body) ?? 0
  }
}

const isOnce = (number: number): boolean => number % ONCE_EVERY === 0
const bodyOf = (number: number): string => `job ${number}`
const numbers = Array.from({ length: JOBS }, (_, number) => number)

/** Each job is added by a request that had an answer; a job with retry 0 is sent only once. */
async function produce(client: QueueClient, left: number[], added: Set<number>): Promise<void> {
  for (let number = left.pop(); number !== undefined; number = left.pop()) {
    for (let isAdded = false; !isAdded;) {
      try {
        await client.add("jobs", bodyOf(number), isOnce(number) ? "?retry=0" : "?retry=2")
        added.add(number)
        isAdded = true
      } catch {
        if (isOnce(number)) break
        await later(RETRY_MS)
      }
    }
  }
}

async function consume(client: QueueClient, ledger: Ledger, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    try {
      const jobs = await client.get("jobs", "&count=20&timeout=500")
      ledger.note(jobs)
      if (jobs.length > 0) await client.ack(jobs.map(({ id }) => id))
    } catch {
      await later(RETRY_MS)
    }
  }
}

async function story(kills: number): Promise<{ readonly ledger: Ledger; readonly added: ReadonlySet<number> }> {
  return withFolder(async folder => {
    const host = `127.0.0.1:${await freePort()}`
    const server = await ServerProcess.start({ folders: [join(folder, "data")], args: ["--queue-listen", host] })
    const client = new QueueClient({ host, ...CREDENTIALS })
    const random = new SimRandom(TEST_SEED)
    const [ledger, added, left] = [new Ledger(), new Set<number>(), numbers.toReversed()]
    const must = (): readonly number[] => numbers.filter(number => !isOnce(number))
    const isOver = (): boolean => left.length === 0 && must().every(number => ledger.of(bodyOf(number)) > 0)
    try {
      const working = Promise.all([
        ...Array.from({ length: PRODUCERS }, () => produce(client, left, added)),
        ...Array.from({ length: CONSUMERS }, () => consume(client, ledger, isOver)),
      ])
      // The next kill comes once so many jobs are left, and a moment that differs.
      for (let kill = 1; kill <= kills; kill += 1) {
        while (left.length > JOBS - (kill * JOBS) / (kills + 1)) await later(RETRY_MS)
        await later(random.below(100))
        await server.kill()
        await server.launch()
      }
      await working
      // The remaining jobs would be delivered again by now.
      await later(kills > 0 ? 2_500 : 0)
      ledger.note(await client.get("jobs", "&count=100&nohang=1"))
    } finally {
      client.close()
      await server.kill()
    }
    return { ledger, added }
  })
}

test(`${JOBS} jobs under random kills: each is delivered, and one with retry 0 at most once`, async () => {
  const { ledger, added } = await story(KILLS)
  const lost = [...added].filter(number => !isOnce(number) && ledger.of(bodyOf(number)) === 0)
  assert.deepEqual(lost, [])
  const twice = numbers.filter(number => isOnce(number) && ledger.of(bodyOf(number)) > 1)
  assert.deepEqual(twice, [])
})

test(`${JOBS} jobs without a failure: each is delivered once`, async () => {
  const { ledger, added } = await story(0)
  assert.equal(added.size, JOBS)
  assert.deepEqual(
    numbers.filter(number => ledger.of(bodyOf(number)) !== 1),
    [],
  )
})
