/**
 * A simulated machine that runs one node of a store, as the real process does: it opens its folders and the database,
 * serves its devices to the other nodes, and does all background work. It can be killed, cut off from power, paused and
 * stopped, and starts again on what is left.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseNodeFingerprint, type NodeFingerprint } from "@hayloft/base/ids.js"
import { defaultPolicy } from "@hayloft/base/policy.js"
import { shapeOf } from "@hayloft/engine/block/index.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { resolveConfig } from "@hayloft/node/config/config-core.js"
import { CALL_LIMITS, queuedDisk } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { Coordination, SessionEnder } from "@hayloft/features/locks/index.js"
import { supervise, type BackgroundService } from "@hayloft/base/life/index.js"
import { runNode } from "@hayloft/server/run-node.js"
import { runStore, type RunningStore } from "@hayloft/server/run-store.js"
import type { Membership } from "@hayloft/node/cluster/membership.js"
import { openNode } from "@hayloft/node/cluster/open-node.js"
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute, slabBytesOf } from "@hayloft/base/seams/compute/index.js"
import { SimLocks, type SimProcessLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { SimNetwork } from "@hayloft/base/seams/net/sim.js"
import { StoreDatabase } from "@hayloft/engine/sql/index.js"
import type { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { CheckpointsInTurn } from "../world/checkpoints.js"
import { SimMachine } from "../world/machine.js"
import { SMALL_LIMITS } from "../world/settings.js"
import { Gate } from "./gate.js"
import { NodeFronts } from "./node-fronts.js"
import { ProcessClock, type ClockErrors } from "./process-clock.js"
import { DatabasePath, ProcessDatabase } from "./process-database.js"
import { ProcessNet } from "./process-net.js"

const URL = "postgres://hayloft@database/store"
const NODE_PORT = 9002
const DEVICES_MAX = 14
export const BLOCK_BYTES = 64 * KIB
const MASTER_KEY = Buffer.alloc(32, 7)
/** Live requests and traffic: a simulated store serves none. */
const NO_LIVE = {
  requests: { answer: () => ({ requests: [], dropped: 0 }) },
  traffic: { counts: () => assert.fail("traffic was asked for") },
  disks: { read: async () => [] },
}
/** The drift of a clock, in either direction, in millionths. */
const DRIFT_MAX = 5_000
/** The rate of the fastest clock. */
export const CLOCK_RATE_MAX = 1 + DRIFT_MAX / 1e6
/** Anything that a stopped process has not closed after this time is never closed. */
const LEFT_MS_MAX = 5_000
const WALL_OFFSET_MS_MAX = 600_000

/** The world that the machines of a cluster share. */
export interface SharedWorld {
  readonly seed: number
  readonly clock: SimClock
  readonly network: SimNetwork
  readonly database: SimulatedDatabase
  /** Nodes that start end sessions of clients that are not renewed. */
  readonly endsSessions: boolean
  /** The terms are undefined if no copies are kept. */
  readonly hotCopies?: HotCopyTerms | undefined
  /** How many fronts each node has. */
  readonly fronts: number
}

export interface NodePlan {
  readonly name: string
  readonly zone: string
  readonly devices: number
  readonly latencyMsMax: number
  /** Days of lifecycle rules may be short. */
  readonly lifecycleDayMs?: number
  /** Until a test sets its wall clock. */
  readonly isClockRight?: boolean
}

/** One process of the node while it serves. */
export interface ServingNode extends RunningStore {
  readonly node: ClusterNode
  /** The fronts that serve; undefined: the node has none. */
  readonly threads: NodeFronts | undefined
  readonly opened: OpenedStore
  readonly membership: Membership
}

/** All that one process was given. */
interface NodeProcess {
  readonly gate: Gate
  readonly fingerprint: NodeFingerprint
  readonly clock: ProcessClock
  readonly net: ProcessNet
  readonly database: ProcessDatabase
  readonly locks: SimProcessLocks
}

export class ClusterNode extends SimMachine {
  readonly path = new DatabasePath()
  readonly clockErrors: ClockErrors
  /** The next process opens these. */
  folders: string[]
  /** The current process was given these. */
  given: readonly string[] = []
  /** The process that serves; undefined while none does, or while it starts. */
  serving: ServingNode | undefined
  /** Its process must end: an operator has removed the node. */
  isExcluded = false
  /** Failed assertions: bugs in the program, which ended a process. */
  readonly mistakes: unknown[] = []
  private readonly locks = new SimLocks()
  private bayCount: number
  private current: NodeProcess | undefined
  private behind: Promise<void> = Promise.resolve()

  constructor(
    private readonly shared: SharedWorld,
    readonly plan: NodePlan,
    number: number,
  ) {
    super({ seed: shared.seed * 1_000 + number, devices: plan.devices, latencyMsMax: plan.latencyMsMax }, shared.clock)
    const random = this.random.fork("clock")
    this.clockErrors =
      plan.isClockRight === true
        ? { rate: 1, wallOffsetMs: 0 }
        : {
            rate: 1 + (random.below(2 * DRIFT_MAX + 1) - DRIFT_MAX) / 1e6,
            wallOffsetMs: random.below(2 * WALL_OFFSET_MS_MAX + 1) - WALL_OFFSET_MS_MAX,
          }
    this.bayCount = plan.devices
    this.folders = Array.from({ length: plan.devices }, (_, i) => `/d${i + 1}`)
  }

  get name(): string {
    return this.plan.name
  }

  /** A process of the node is running, or starts. */
  get isRunning(): boolean {
    return this.current !== undefined
  }

  get isPaused(): boolean {
    return this.current?.gate.isPaused === true
  }

  pauseProcess(): void {
    this.current?.gate.pause()
  }

  continueProcess(): void {
    this.current?.gate.go()
  }

  /** Puts an empty drive into a new bay; returns its folder. */
  addDrive(): string {
    this.bayCount += 1
    const path = `/d${this.bayCount}`
    this.bays.put(path, this.newDrive())
    return path
  }

  /** Ends the connections to the database. */
  cutDatabase(): void {
    this.current?.database.cut()
  }

  /** A device answers only while its process runs. */
  protected override async waitLatency(): Promise<void> {
    await super.waitLatency()
    await this.current?.gate.pass(Promise.resolve())
  }

  /** Serves as a new process. Throws the errors of the start, which end it. */
  async start(): Promise<ServingNode> {
    const run = this.begin()
    const gate = new Gate()
    const process: NodeProcess = {
      gate,
      clock: new ProcessClock(run.clock, gate, this.random.fork("jitter"), this.clockErrors),
      ...this.reachOthers(gate),
      locks: this.locks.boot(),
    }
    this.current = process
    try {
      return await this.serve(process, run)
    } catch (error) {
      if (this.current === process) this.kill()
      throw error
    }
  }

  private reachOthers(gate: Gate): Pick<NodeProcess, "fingerprint" | "net" | "database"> {
    const { network, database } = this.shared
    const fingerprint = parseNodeFingerprint(hexOf(this.random.fork("fingerprint").bytes(32)))
    return {
      fingerprint,
      net: new ProcessNet(network.host(this.name, fingerprint), gate),
      database: new ProcessDatabase(database, this.path, gate),
    }
  }

  private async serve(process: NodeProcess, run: ReturnType<SimMachine["begin"]>): Promise<ServingNode> {
    const { clock, net, locks } = process
    const { disk, stores, random, signal, watch } = run
    const { telemetry } = this
    const config = this.config()
    const cluster = must(config.cluster, "a node has a database")
    const database = StoreDatabase.over(process.database, URL)
    const opened = await openNode(
      { clock, random, disk, locks, log: telemetry.log, database },
      config,
      cluster,
      MASTER_KEY,
    )
    const queued = () => queuedDisk(disk, clock, CALL_LIMITS, watch, () => undefined)
    const joined: { membership?: Membership } = {}
    const running = await runStore(
      {
        clock,
        random,
        disk,
        stores,
        locks,
        telemetry,
        nodes: () => joined.membership,
        onExcluded: () => (this.isExcluded = true),
      },
      opened,
      config,
      (failure: Failure) => {
        throw failure
      },
      {
        compute: new InlineCompute(makeCodec, { slabBytes: SLAB_BYTES, poolBytes: 4 * MIB }),
        checkpoints: new CheckpointsInTurn(new CheckpointExecutor(queued, stores, random.fork("checkpoints"))),
        limits: LIMITS,
      },
    )
    const network = { net, admitted: net, fingerprint: process.fingerprint }
    const host = { version: "1", name: this.name, live: NO_LIVE }
    const membership = await runNode(
      { clock, random, telemetry, network },
      opened,
      running,
      cluster,
      host,
      () => undefined,
    )
    joined.membership = membership
    const { root } = opened.secrets
    running.fronts?.serve({ ...running, root, nodes: () => joined.membership })
    const { fronts: count } = this.shared
    const threads =
      running.fronts &&
      new NodeFronts(running.fronts, { clock, disk, random, telemetry }, { count, slabBytes: SLAB_BYTES })
    const services = [
      ...running.backgroundServices,
      membership,
      ...this.ender(process, random, running),
      ...(threads ? [threads] : []),
    ]
    this.behind = supervise(services, clock, random, telemetry.log, signal).catch(
      (error: unknown) => void this.mistakes.push(error),
    )
    running.status.setListening()
    this.serving = { ...running, node: this, opened, membership, threads }
    return this.serving
  }

  private ender(
    { clock }: NodeProcess,
    random: Random,
    { engine: { services } }: RunningStore,
  ): readonly BackgroundService[] {
    if (!this.shared.endsSessions) return []
    const { tablet: metadata, refuseEarlier: prepare } = services
    const coordination = new Coordination({ clock, random, metadata, prepare, isShared: true })
    const { log, metrics } = this.telemetry
    return [new SessionEnder({ clock, metadata, log, metrics }, coordination)]
  }

  private config(): ServeConfig {
    const { name, zone } = this.plan
    this.given = this.folders
    const config = resolveConfig({
      flags: {
        data: this.folders,
        cluster: [URL],
        masterKeyFile: ["/master.key"],
        node: [name],
        zone: [zone],
        nodeListen: [`${name}:${NODE_PORT}`],
      },
      environment: {},
      file: undefined,
      workingFolder: "/",
      hostName: name,
    })
    const { lifecycleDayMs } = this.plan
    const { hotCopies, fronts: threads } = this.shared
    return { ...config, blockBytes: BLOCK_BYTES, lifecycleDayMs, hotCopies, threads }
  }

  /** Ends the process cleanly; returns what it has left open. */
  async stop(): Promise<string | undefined> {
    const { serving, current } = this
    if (serving === undefined || current === undefined) return undefined
    this.serving = undefined
    await this.endWith([this.behind], () => serving.stop())
    for (const device of serving.opened.devices) await device.release().catch(() => undefined)
    for (const folder of serving.taken) await folder.release().catch(() => undefined)
    for (const { ownership } of serving.opened.node?.joining ?? []) await ownership.release().catch(() => undefined)
    const left = () => current.net.left ?? current.database.left
    // Connections whose peer does not answer are reset after a while.
    for (let waitedMs = 0; left() !== undefined && waitedMs < LEFT_MS_MAX; waitedMs += 100) await this.pause(100)
    const found = left()
    if (this.current === current) this.end()
    return found
  }

  /** The system of a killed process resets its connections; one without power says nothing. */
  override kill(): void {
    this.current?.net.resetAll()
    super.kill()
  }

  protected override end(): void {
    super.end()
    const { current } = this
    this.current = undefined
    this.serving = undefined
    if (current === undefined) return
    current.gate.end()
    current.locks.kill()
    this.shared.network.crash(this.name)
    current.database.cut()
  }
}

const SLAB_BYTES = Math.max(
  ...Array.from({ length: DEVICES_MAX }, (_, i) => slabBytesOf(shapeOf(defaultPolicy(i + 1)), BLOCK_BYTES)),
)

/** Unreferenced blocks stay for longer than the retention, as in every store of several nodes. */
const LIMITS = { deviceOptions: SMALL_LIMITS.deviceOptions, spaceLimits: SMALL_LIMITS.spaceLimits }

/** Failures of a start that pass: the node is started again. */
export const isStartRefused = (error: unknown): boolean =>
  isFailure(error, "databaseUnreachable", "indeterminate", "tooManyInFlight", "deviceFailed", "stopping", "conflict")
