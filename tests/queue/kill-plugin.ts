/**
 * Jobs in the run of kills: none is lost, and one with retry 0 is delivered once at most. Before the first kill each is delivered
 * once.
 */
import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"
import { QueueClient, type Job } from "../harness/queue-client.js"
import { CREDENTIALS } from "../harness/server.js"
import type { KillPlugin, KillWorld } from "../kill/plugin.js"

/** Jobs without a failure. */
const JOBS_BEFORE = 100
const CLIENTS = 2
/** One in so many is delivered at most once. */
const ONCE_EVERY = 5
/** Remaining jobs would be delivered again after this time. */
const AGAIN_MS = 2_500

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

export class QueuedJobs implements KillPlugin {
  private readonly client: QueueClient
  private readonly ledger = new Ledger()
  private readonly added = new Set<number>()
  private sent = 0
  private producing = 0
  /** No process was killed yet. */
  private isBefore = true

  constructor(private readonly world: KillWorld) {
    this.client = new QueueClient({ host: world.stores.queueHost, ...CREDENTIALS })
  }

  get done(): number {
    return this.added.size
  }

  async begin(): Promise<void> {
    await this.exchange(() => this.sent >= JOBS_BEFORE)
    const wrong = [...this.added].filter(number => this.ledger.of(bodyOf(number)) !== 1)
    assert.deepEqual(wrong, [], "jobs were delivered twice")
    this.isBefore = false
  }

  work(): Promise<void> {
    return this.exchange(() => this.world.isOver)
  }

  private get missing(): readonly number[] {
    const mustCome = (number: number): boolean => this.isBefore || !isOnce(number)
    return [...this.added].filter(number => mustCome(number) && this.ledger.of(bodyOf(number)) === 0)
  }

  private async exchange(isEnough: () => boolean): Promise<void> {
    this.producing = CLIENTS
    const clients = Array.from({ length: CLIENTS }, () => [this.produce(isEnough), this.consume()])
    await Promise.all(clients.flat())
  }

  /** Each job is added by a request that had an answer; a job with retry 0 is sent only once. */
  private async produce(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      this.sent += 1
      await this.add(this.sent)
    }
    this.producing -= 1
  }

  private async add(number: number): Promise<void> {
    for (;;) {
      await this.world.turn()
      try {
        const retrySeconds = isOnce(number) ? 0 : this.isBefore ? 600 : 2
        await this.client.add("jobs", bodyOf(number), `?retry=${retrySeconds}`)
        this.added.add(number)
        return
      } catch {
        if (isOnce(number)) return
      }
    }
  }

  private async consume(): Promise<void> {
    while (this.producing > 0 || this.missing.length > 0) {
      await this.world.turn()
      await this.take("&count=20&timeout=500").catch(() => undefined)
    }
  }

  private async take(options: string): Promise<void> {
    const jobs = await this.client.get("jobs", options)
    this.ledger.note(jobs)
    if (jobs.length > 0) await this.client.ack(jobs.map(({ id }) => id))
  }

  async end(): Promise<void> {
    await later(AGAIN_MS)
    await this.take("&count=100&nohang=1")
    this.client.close()
    assert.deepEqual(this.missing, [], "jobs are lost")
    const numbers = Array.from({ length: this.sent }, (_, i) => i + 1)
    const twice = numbers.filter(number => isOnce(number) && this.ledger.of(bodyOf(number)) > 1)
    assert.deepEqual(twice, [], "jobs with retry 0 were delivered twice")
  }
}
