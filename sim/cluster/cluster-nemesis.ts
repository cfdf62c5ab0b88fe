/**
 * Nemesis of a cluster: kills, stops and pauses nodes, cuts their power, their network and their way to the database,
 * breaks disks and the database, lets needles rot, and changes clocks. Every action but rot undoes itself; `end` undoes
 * all of them now.
 */
import { setMaxListeners } from "node:events"
import { must } from "@hayloft/base/assert.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { DeviceCondition } from "@hayloft/base/seams/disk/index.js"
import type { FaultPlan } from "@hayloft/engine/sql/simulated/faults.js"
import { STEADY, type Cluster } from "./cluster.js"
import type { ClusterNode } from "./cluster-node.js"
import type { ClusterRot } from "./cluster-rot.js"

/** Connections to the database end before, during and after statements, some of which arrive much later. */
const UNRELIABLE: FaultPlan = {
  ...STEADY,
  stalls: 0.02,
  refused: 0.05,
  lostBefore: 0.02,
  late: 0.03,
  lateMs: 2_000,
  lostDuring: 0.03,
  lostAfter: 0.03,
  aborted: 0.02,
  warned: 0.02,
}

/** In a cluster with fronts, of the deeds. */
const FRONT_ENDS_ONE_OF = 4
const CONCURRENT_MAX = 3
const GAP_MS_MAX = 4_000
const CLOCK_JUMP_MS_MAX = 3_600_000
/**
 * One of so many jumps sets a clock days ahead for a while. Within the minutes of a storm no time is confirmed: what a node
 * whose clock was days behind has dated would be over at once.
 */
const FAR_ONE_OF = 3
const FAR_DAYS_MAX = 400
const DAY_MS = 86_400_000
const RESERVE_POLL_MS = 100
const STALL_RECOVERY_MS = 3_000
const DISK_STATES: readonly DeviceCondition[] = ["slow", "hung", "lost", "full", "failing", "readOnly"]

export interface NemesisHost {
  readonly cluster: Cluster
  /** The rot is undefined if nothing rots. */
  readonly rot: ClusterRot | undefined
  /** The clients of the node finish, and the process ends cleanly. */
  stop(node: ClusterNode): Promise<void>
  /** The node serves when it resolves. */
  start(node: ClusterNode): Promise<void>
  /** A front of the node ends, if it has one. */
  endFront(node: ClusterNode): void
  onError(error: unknown): void
}

export class ClusterNemesis {
  private readonly calm = new AbortController()
  private readonly running = new Set<Promise<void>>()
  /** Nodes that are being ended or started. */
  private readonly busy = new Set<ClusterNode>()
  /** The deeds of the nemesis, for people. */
  readonly deeds: string[] = []

  constructor(
    private readonly host: NemesisHost,
    private readonly random: Random,
  ) {
    setMaxListeners(0, this.calm.signal)
  }

  async run(durationMs: number): Promise<void> {
    const { cluster } = this.host
    const untilMs = cluster.clock.monotonicMs() + durationMs
    while (cluster.clock.monotonicMs() < untilMs) {
      await this.rest(this.random.below(GAP_MS_MAX))
      if (this.running.size >= CONCURRENT_MAX) continue
      const action = this.act().catch((error: unknown) => this.host.onError(error))
      this.running.add(action)
      void action.then(() => this.running.delete(action))
    }
  }

  /** Undoes everything; all nodes serve when it resolves. */
  async end(): Promise<void> {
    this.calm.abort()
    await Promise.all(this.running)
  }

  private rest(durationMs: number): Promise<void> {
    return this.host.cluster.clock.sleep(durationMs, this.calm.signal)
  }

  /** Resolves once no process of the node is being ended or started; then the node is left alone until it is released. */
  async reserve(node: ClusterNode): Promise<void> {
    while (this.busy.has(node)) await this.host.cluster.sleep(RESERVE_POLL_MS)
    this.busy.add(node)
    node.continueProcess()
  }

  release(node: ClusterNode): void {
    this.busy.delete(node)
  }

  note(deed: string): void {
    this.deeds.push(`${Math.round(this.host.cluster.clock.monotonicMs())} ${deed}`)
  }

  private get node(): ClusterNode {
    const { nodes } = this.host.cluster
    return must(nodes[this.random.below(nodes.length)], "a cluster has nodes")
  }

  private async act(): Promise<void> {
    const { cluster } = this.host
    if (cluster.fronts > 0 && this.random.below(FRONT_ENDS_ONE_OF) === 0) return this.host.endFront(this.node)
    switch (this.random.below(14)) {
      case 0:
      case 1:
      case 2:
        return this.endProcess(this.node)
      case 3:
        return this.pause(this.node)
      case 4:
      case 5:
        return this.cutNetwork()
      case 6:
        return this.cutDatabasePath(this.node)
      case 7:
        return this.breakDatabase()
      case 8:
        return this.unreliableDatabase()
      case 9:
        return this.endIncarnation(this.node)
      case 10:
        if (this.random.below(3) > 0) return this.breakDisk(this.node)
        return this.stallDisks(this.random.below(2) === 0 ? [this.node] : this.host.cluster.nodes)
      case 11:
        return this.jumpDatabaseClock()
      case 12:
        return this.rot()
      default:
        return this.jumpClock(this.node)
    }
  }

  private async endProcess(node: ClusterNode): Promise<void> {
    if (this.busy.has(node) || node.serving === undefined) return
    this.busy.add(node)
    const how = this.random.below(3)
    this.note(`${["kill", "power cut", "stop"][how]} ${node.name}`)
    node.continueProcess()
    if (how === 0) node.kill()
    else if (how === 1) node.crash()
    else await this.host.stop(node)
    await this.rest(this.random.below(10_000))
    await this.host.start(node)
    this.note(`${node.name} serves again`)
    this.busy.delete(node)
  }

  private async pause(node: ClusterNode): Promise<void> {
    if (this.busy.has(node) || node.serving === undefined) return
    this.busy.add(node)
    const durationMs = this.random.below(this.random.below(3) === 0 ? 40_000 : 4_000)
    this.note(`pause ${node.name} for ${durationMs} ms`)
    node.pauseProcess()
    await this.rest(durationMs)
    node.continueProcess()
    this.note(`${node.name} goes on`)
    this.busy.delete(node)
  }

  private async cutNetwork(): Promise<void> {
    const { network, nodes } = this.host.cluster
    const one = this.node
    const how = this.random.below(4)
    const others = nodes.filter(node => node !== one)
    if (how === 0) {
      this.note("all connections between nodes end")
      return network.dropAll()
    }
    const cut = how === 1 ? others : others.slice(0, 1 + this.random.below(others.length))
    const ways = this.random.below(3)
    this.note(`cut ${one.name} ${["to", "from", "to and from"][ways]} ${cut.map(({ name }) => name).join(", ")}`)
    for (const other of cut) {
      if (ways !== 1) network.cut(one.name, other.name)
      if (ways !== 0) network.cut(other.name, one.name)
    }
    await this.rest(this.random.below(20_000))
    this.note(`${one.name} is connected again`)
    for (const other of cut) {
      network.heal(one.name, other.name)
      network.heal(other.name, one.name)
    }
  }

  private async cutDatabasePath(node: ClusterNode): Promise<void> {
    const { path } = node
    const how = this.random.below(3)
    this.note(`${node.name}: the database ${["refuses connections", "does not hear it", "is not heard"][how]}`)
    if (how === 0) {
      path.isRefused = true
      node.cutDatabase()
    } else path.hold(how === 1 ? "requests" : "answers")
    await this.rest(this.random.below(15_000))
    // A connection that was silent for so long may have ended.
    if (this.random.below(2) === 0) node.cutDatabase()
    path.open()
    this.note(`${node.name} reaches the database again`)
  }

  private async breakDatabase(): Promise<void> {
    const { database } = this.host.cluster
    const how = this.random.below(4)
    const deeds = ["the database crashes", "all connections to the database end", "the database is away"]
    this.note(deeds[how] ?? "the database fails over, and nothing is lost")
    if (how === 0 || how === 3) database.crash()
    else database.cut()
    if (how < 2) return
    database.isAway = true
    await this.rest(this.random.below(10_000))
    database.isAway = false
    this.note("the database is back")
  }

  private async unreliableDatabase(): Promise<void> {
    const { database } = this.host.cluster
    this.note("connections to the database are unreliable")
    database.faults = UNRELIABLE
    await this.rest(this.random.below(10_000))
    database.faults = STEADY
  }

  /** Ends the incarnation of a node, as the steward does when a node was silent. */
  private async endIncarnation({ name, serving }: ClusterNode): Promise<void> {
    if (serving === undefined) return
    const { own } = serving.engine.metadata.incarnations
    this.note(`end incarnation ${own} of ${name}`)
    const session = await this.host.cluster.database.connect().catch(() => undefined)
    await session?.end(own).catch(() => undefined)
    await session?.close().catch(() => undefined)
  }

  /** The disks of one node, or all disks of the store, stop together. */
  private async stallDisks(nodes: readonly ClusterNode[]): Promise<void> {
    const stallMs = this.random.below(20_000)
    this.note(`disks of ${nodes.map(({ name }) => name).join(", ")} stop for ${stallMs} ms`)
    for (const node of nodes) node.stallDisks(stallMs, STALL_RECOVERY_MS)
    await this.rest(stallMs + STALL_RECOVERY_MS)
  }

  private async breakDisk(node: ClusterNode): Promise<void> {
    const folder = node.folders[this.random.below(Math.max(1, node.folders.length))]
    const drive = folder === undefined ? undefined : node.bays.at(folder)
    const state = DISK_STATES[this.random.below(DISK_STATES.length)]
    if (drive === undefined || state === undefined || drive.faulty.state !== "well") return
    this.note(`${node.name}:${folder} is ${state}`)
    drive.faulty.become(state)
    await this.rest(this.random.below(20_000))
    drive.faulty.become("well")
    this.note(`${node.name}:${folder} is well`)
  }

  private async jumpClock(node: ClusterNode): Promise<void> {
    const isFar = this.random.below(FAR_ONE_OF) === 0
    const days = isFar ? this.random.below(FAR_DAYS_MAX) : 0
    const byMs = days * DAY_MS + this.random.below(2 * CLOCK_JUMP_MS_MAX) - CLOCK_JUMP_MS_MAX
    this.note(`the wall clock of ${node.name} jumps by ${byMs} ms`)
    node.clockErrors.wallOffsetMs += byMs
    if (!isFar) return
    await this.rest(this.random.below(20_000))
    this.note(`the wall clock of ${node.name} shows the right day again`)
    node.clockErrors.wallOffsetMs -= days * DAY_MS
  }

  private async jumpDatabaseClock(): Promise<void> {
    const byMs = this.random.below(2 * CLOCK_JUMP_MS_MAX) - CLOCK_JUMP_MS_MAX
    this.note(`the clock of the database jumps by ${byMs} ms`)
    this.host.cluster.databaseClock.wallOffsetMs += byMs
  }

  private async rot(): Promise<void> {
    const what = this.host.rot?.strike()
    if (what !== undefined) this.note(what)
  }
}
