/**
 * Nodes of a store on a simulated database, as far as they coordinate: heartbeats, leases, the steward. All on one
 * simulated clock; each node can be paused, as a stopped process is, and has a wall clock of its own.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { parseNodeFingerprint, parseNodeName, type Incarnation, type NodeName } from "@hayloft/base/ids.js"
import { storeOf } from "@hayloft/engine/cluster/testing-records.js"
import { beatNode, epochOfAge, joinNode } from "@hayloft/engine/coordination/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { EpochRetention, type RetentionSettings } from "@hayloft/node/cluster/epochs.js"
import { Leases } from "@hayloft/node/cluster/leases.js"
import { Steward, STEWARD_LEASE, STEWARD_LIMITS } from "@hayloft/node/cluster/steward.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { SimulatedWorld, SLOW } from "../sql/simulated-world.js"

const BEAT_EVERY_MS = 5_000
export const MINUTE = 60_000

/** The simulated clock as one process sees it. */
class NodeClock implements Clock {
  private resumed: Promise<void> | undefined
  private resume: () => void = () => undefined
  /** How much faster the wall clock runs. */
  wallFactor = 1

  constructor(private readonly clock: Clock) {}

  get isPaused(): boolean {
    return this.resumed !== undefined
  }

  /** Lets those that sleep go on sleeping until `go`. */
  pause(): void {
    this.resumed ??= new Promise(resolve => (this.resume = resolve))
  }

  go(): void {
    this.resumed = undefined
    this.resume()
  }

  wallMs(): number {
    return this.clock.wallMs() + this.monotonicMs() * (this.wallFactor - 1)
  }

  monotonicMs(): number {
    return this.clock.monotonicMs()
  }

  async sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    await this.clock.sleep(durationMs, signal)
    while (this.resumed !== undefined && !signal.aborted) await this.resumed
  }

  alarm(durationMs: number, ring: () => void): () => void {
    return this.clock.alarm(durationMs, ring)
  }

  atEndOfTurn(call: () => void): void {
    this.clock.atEndOfTurn(call)
  }
}

export interface NodeOptions {
  readonly retention?: RetentionSettings
  /** It takes itself for the steward, also if another node has the lease. */
  readonly isAlwaysSteward?: boolean
}

export class SimNode {
  readonly leases: Leases
  readonly steward: Steward
  readonly retention: EpochRetention
  private readonly stopping = new AbortController()
  private readonly running: Promise<unknown>[]
  /** The nodes that its heartbeats report as unreachable. */
  cannotReach: readonly NodeName[] = []

  constructor(
    readonly name: NodeName,
    readonly clock: NodeClock,
    readonly engine: SqlMetadata,
    store: SimStore,
    { retention, isAlwaysSteward = false }: NodeOptions,
  ) {
    const { random } = store.world
    const { log } = store.world.telemetry
    const seams = { clock, random: random.fork(`${name} leases`), log, metadata: engine }
    this.leases = new Leases(seams, { names: [STEWARD_LEASE] })
    const leases = isAlwaysSteward
      ? { holds: () => true, stepBegan: () => undefined, stepSucceeded: () => undefined }
      : this.leases
    const decideSilence = (record: ControlRecord, silentMs: ReadonlyMap<NodeName, number>) => {
      for (const [node, ms] of silentMs) if (ms >= STEWARD_LIMITS.reportAfterMs) store.reported.add(node)
      return record
    }
    const changeRecord = async (decide: (record: ControlRecord) => ControlRecord) => void decide(store.record)
    this.steward = new Steward({ clock, log, metadata: engine, leases, decideSilence, changeRecord }, retention)
    this.retention = new EpochRetention(clock, engine, retention)
    const { signal } = this.stopping
    this.running = [engine.keepUp(signal), this.leases.run(signal), this.steward.run(signal), this.beat(signal)]
  }

  get own(): Incarnation {
    return this.engine.incarnations.own
  }

  private async beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.beatOnce().catch((error: unknown) => {
        assert.ok(isFailure(error), String(error))
      })
      await this.clock.sleep(BEAT_EVERY_MS, signal)
    }
  }

  private async beatOnce(): Promise<void> {
    const { engine, leases, name } = this
    const renewal = leases.beginRenewal()
    const facts = { position: engine.position, layoutVersion: 1, unreachable: this.cannotReach }
    try {
      renewal.confirm(await engine.run(beatNode(name, facts, renewal.names)))
    } catch (error) {
      if (!isFailure(error, "nodeRemoved", "conflict")) throw error
      const identity = { address: "h:1", fingerprint: parseNodeFingerprint("0f".repeat(32)), proof: new Uint8Array(32) }
      const place = { zone: name, machine: name, program: "1.0.0" }
      await engine.run(joinNode({ name, incarnation: this.own, ...identity, ...place, beat: 1, ...facts }))
    }
  }

  async stop(): Promise<void> {
    this.clock.go()
    this.stopping.abort()
    await Promise.all(this.running)
  }
}

export class SimStore {
  readonly world: SimulatedWorld
  readonly nodes: SimNode[] = []
  readonly record = storeOf(3)
  /** Nodes that were reported for their silence. */
  readonly reported = new Set<NodeName>()

  constructor(seed: number) {
    this.world = new SimulatedWorld(seed, SLOW)
  }

  async start(name: string, options: NodeOptions = {}): Promise<SimNode> {
    const clock = new NodeClock(this.world.clock)
    const engine = await this.world.open(name, clock)
    const node = new SimNode(parseNodeName(name), clock, engine, this, options)
    this.nodes.push(node)
    return node
  }

  /** Lets time pass. There is never a second steward, unless a process was stopped meanwhile. */
  async pass(durationMs: number): Promise<void> {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 1_000) {
      await this.world.pass(Math.min(leftMs, 1_000))
      const holders = this.nodes.filter(({ clock, leases }) => !clock.isPaused && leases.holds(STEWARD_LEASE))
      assert.ok(holders.length <= 1, `several have the lease: ${holders.map(({ name }) => name).join(", ")}`)
    }
  }

  steward(): SimNode | undefined {
    return this.nodes.find(({ leases }) => leases.holds(STEWARD_LEASE))
  }

  /** The number of the newest epoch. */
  async epoch(node: SimNode): Promise<number> {
    return (await node.engine.ask(epochOfAge(0)))?.number ?? 0
  }

  /** Runs the work, and stops all nodes after it. */
  run(work: () => Promise<void>): Promise<void> {
    return this.world.run(async () => {
      try {
        await work()
      } finally {
        this.world.database.isAway = false
        for (const node of this.nodes) await node.stop()
      }
    })
  }
}
