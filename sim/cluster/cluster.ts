/**
 * A simulated cluster: machines with a node each, a network between them, and a database, all on one clock and from one
 * seed. The same seed repeats the run to the byte: see `digest`.
 */
import { createHash } from "node:crypto"
import { setMaxListeners } from "node:events"
import { must } from "@hayloft/base/assert.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { NO_FAULTS, type FaultPlan } from "@hayloft/engine/sql/simulated/faults.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { ShiftedClock } from "./process-clock.js"
import { ClusterNode, isStartRefused, type NodePlan, type ServingNode } from "./cluster-node.js"

/** Statements take time and overlap; none fails. */
export const STEADY: FaultPlan = {
  ...NO_FAULTS,
  requestMs: 2,
  partMs: 1,
  commitMs: 3,
  answerMs: 2,
  stalls: 0.005,
  stallMs: 200,
}

/** A system that restarts services waits so long after a failed start. */
const RESTART_MS = 2_000

const noSignal = new AbortController().signal
setMaxListeners(0, noSignal)

export class Cluster {
  readonly clock = new SimClock()
  readonly random: Random
  readonly network: SimNetwork
  readonly database: SimulatedDatabase
  /** The members; those that were removed are not among them. */
  readonly nodes: ClusterNode[] = []
  /** The clock of the database. */
  readonly databaseClock: ShiftedClock
  /** Nodes that start end sessions that are not renewed. */
  endsSessions = false
  private readonly all: ClusterNode[] = []

  constructor(
    readonly seed: number,
    /** The terms are for all nodes. */
    readonly hotCopies?: HotCopyTerms | undefined,
    /** How many fronts each node has. */
    readonly fronts: number = 0,
  ) {
    this.random = new SimRandom(seed)
    this.network = new SimNetwork(this.clock, this.random.fork("network"), {
      delayMs: { least: 0.2, most: 2 },
    })
    this.databaseClock = new ShiftedClock(this.clock)
    const random = this.random.fork("database")
    this.database = new SimulatedDatabase({ clock: this.databaseClock, random, faults: STEADY })
  }

  addNode(plan: NodePlan): ClusterNode {
    const node = new ClusterNode(this, plan, this.all.length + 1)
    this.all.push(node)
    this.nodes.push(node)
    return node
  }

  /** The node is no member any more. */
  remove(node: ClusterNode): void {
    this.nodes.splice(this.nodes.indexOf(node), 1)
  }

  get serving(): readonly ServingNode[] {
    return this.nodes.map(({ serving }) => serving).filter(each => each !== undefined)
  }

  /** Failed assertions of all processes. */
  get mistakes(): readonly unknown[] {
    return this.all.flatMap(({ mistakes }) => mistakes)
  }

  sleep(durationMs: number): Promise<void> {
    return this.clock.sleep(durationMs, noSignal)
  }

  /** Starts a node, again and again until it serves; an error that does not pass is thrown. */
  async start(node: ClusterNode): Promise<ServingNode> {
    for (;;) {
      try {
        return await node.start()
      } catch (error) {
        if (!isStartRefused(error)) throw error
        await this.sleep(RESTART_MS)
      }
    }
  }

  /** A node that serves, and is not paused, at random. */
  pick(random: Random): ServingNode | undefined {
    const serving = this.serving.filter(({ node }) => !node.isPaused)
    return serving.length === 0 ? undefined : must(serving[random.below(serving.length)], "one of them")
  }

  /**
   * Returns a digest of everything that happened: statements of the database, log lines of all nodes, and what the
   * caller adds.
   */
  digest(...more: readonly string[]): string {
    const hash = createHash("sha256").update(this.database.trace.digest)
    for (const { telemetry } of this.all) {
      for (const { level, event, fields } of telemetry.entries()) hash.update(JSON.stringify([level, event, fields]))
    }
    for (const text of more) hash.update(text)
    return hash.digest("hex")
  }
}
