/**
 * A database with a synchronous standby fails over under load, in each way that Patroni knows: no acknowledged write is
 * lost, histories are linearizable, clients get nothing but 503 with `Retry-After` and closed connections, and every
 * node continues by itself.
 */
import { setTimeout as wait } from "node:timers/promises"
import { Clients } from "../drama/clients.js"
import { usedNodes } from "../drama/used-nodes.js"
import { TTL_SECONDS, type PatroniMember } from "../harness/patroni.js"
import type { TestNode } from "../harness/nodes.js"
import { seconds, until, whyNotReady, withStage, type Stage } from "./stage.js"

const KILLS = 3
const BEFORE_MS = 5_000
/** An old primary that continues so long after another one was promoted believes to be the primary. */
const FROZEN_AFTER_MS = 8_000
const PROBES_EVERY_MS = 50
const PROBE_BUCKET = "probes"

type Fault = (primary: PatroniMember) => Promise<void>

class SynchronousFailover {
  private readonly clients: Clients
  private probes = 0

  constructor(
    private readonly stage: Stage,
    seed: number,
  ) {
    this.clients = new Clients(usedNodes(stage.nodes), seed, text => stage.say(`FAULT ${text.slice(0, 500)}`))
  }

  async run(): Promise<readonly string[]> {
    const { stage, clients } = this
    const { nodes, patroni } = stage
    await clients.makeBuckets()
    await nodes.at(1).client.createBucket(PROBE_BUCKET)
    clients.begin()
    for (let n = 1; n <= KILLS; n += 1) {
      await this.play(`kill -9 of the primary, ${n} of ${KILLS}`, primary => this.kill(primary))
    }
    await this.play("patronictl switchover", async primary => patroni.switchOver(primary))
    await this.play("SIGSTOP of the primary for longer than the TTL", primary => this.freeze(primary))
    await wait(BEFORE_MS)
    await clients.quiet()
    for (const node of nodes.all) await this.continues(node)
    await clients.finishUploads()
    await clients.readAll()
    await clients.checkQuiet()
    clients.checkHistories()
    const { operations, longestMs, record } = clients
    const counts = [...record.counts].map(([name, count]) => `${name} ${count}`).join(", ")
    stage.say(`${operations} operations of clients (${counts})`)
    stage.say(`no client waited longer than ${seconds(longestMs)} for an answer`)
    return record.violations
  }

  private async play(name: string, fault: Fault): Promise<void> {
    const { patroni, say } = this.stage
    await patroni.isWhole()
    await patroni.isSynchronous()
    await wait(BEFORE_MS)
    const before = await patroni.primary()
    const startMs = performance.now()
    const recovered = Promise.all(this.stage.nodes.all.map(node => this.acknowledgesAgain(node, before)))
    await fault(before)
    const byNode = (await recovered).map(ms => seconds(ms - startMs)).join(", ")
    await patroni.isWhole()
    const after = await patroni.primary()
    await wait(BEFORE_MS)
    say(
      `${name}: ${before.name} to ${after.name}; no write was acknowledged for ${seconds(this.longestGapMs(startMs))}; ` +
        `the nodes acknowledged writes again after ${byNode}`,
    )
  }

  private async kill(primary: PatroniMember): Promise<void> {
    primary.kill()
    await this.stage.patroni.primary(primary)
    await wait(BEFORE_MS)
    primary.start()
  }

  private async freeze(primary: PatroniMember): Promise<void> {
    const startMs = performance.now()
    primary.freeze()
    try {
      await this.stage.patroni.primary(primary)
      await wait(FROZEN_AFTER_MS)
    } finally {
      primary.thaw()
    }
    const frozenMs = performance.now() - startMs
    this.stage.say(`frozen for ${seconds(frozenMs)}; the TTL is ${TTL_SECONDS} s`)
  }

  /** When the node acknowledges a write after another primary was promoted. */
  private async acknowledgesAgain(node: TestNode, before: PatroniMember): Promise<number> {
    const { patroni } = this.stage
    await patroni.primary(before)
    let acknowledgedMs = 0
    await until(`${node.name} acknowledges a write`, async () => {
      this.probes += 1
      const call = { bucket: PROBE_BUCKET, key: `probe ${this.probes}`, body: "probe" }
      const answer = await node.rawClient.call("PUT", call).catch(() => undefined)
      acknowledgedMs = performance.now()
      await wait(PROBES_EVERY_MS)
      return answer?.status === 200
    })
    return acknowledgedMs
  }

  /** The longest time since then in which the clients' changes were not acknowledged. */
  private longestGapMs(sinceMs: number): number {
    const ends = [...this.clients.record.history.values()]
      .flat()
      .filter(({ action, outcome }) => outcome.kind === "done" && (action.kind === "write" || action.kind === "remove"))
      .map(({ endMs }) => endMs)
      .filter(endMs => endMs > sinceMs)
      .sort((a, b) => a - b)
    return Math.max(0, ...ends.map((endMs, at) => endMs - (ends[at - 1] ?? sinceMs)))
  }

  private async continues(node: TestNode): Promise<void> {
    await until(`${node.name} is ready`, async () => (await whyNotReady(node)) === undefined)
    if (node.output.includes("store_halted")) this.clients.record.violation(`${node.name} has halted the store`)
  }
}

/** Returns what was broken. */
export async function synchronousFailover(seed: number, say: (line: string) => void): Promise<readonly string[]> {
  let faults: readonly string[] = []
  await withStage(true, say, async stage => {
    faults = await new SynchronousFailover(stage, seed).run()
  })
  return faults
}
