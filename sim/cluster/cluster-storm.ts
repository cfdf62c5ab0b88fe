/**
 * Cluster storm: clients of all nodes on the same few keys, while a nemesis breaks nodes, networks, disks and the
 * database. Then everything is healed, and the store must become whole by itself, with everything that was
 * acknowledged, on every node.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { auditListings } from "../world/audit.js"
import { find, nameOfBody, type Server } from "../world/bodies.js"
import { check, CheckFailed, type CheckName } from "../world/checks.js"
import { Client, type ClientHost } from "../world/clients.js"
import { FEW_HOT_COPIES } from "../world/settings.js"
import { Observer, type Shown, type Write } from "../world/observer.js"
import { Cluster } from "./cluster.js"
import { ClusterNemesis, type NemesisHost } from "./cluster-nemesis.js"
import { BLOCK_BYTES, type ClusterNode, type ServingNode } from "./cluster-node.js"
import { ClusterOperator, type OperatorHost } from "./cluster-operator.js"
import { ClusterRollback } from "./cluster-rollback.js"
import { ClusterRot } from "./cluster-rot.js"
import { checkMachines, missingShardOf, Referenced, unlikePolicyOf } from "./content.js"
import { AppendClients, LOG_BUCKET } from "./append-clients.js"
import { CoordClients } from "./coord-clients.js"
import { ITEM_BUCKET, ItemClients } from "./item-clients.js"
import { QueueClients } from "./queue-clients.js"
import { checkRepairGoesOn } from "./repair-watch.js"
import { StoreClockWatch } from "./store-clock-watch.js"
import { WanderingUpload, type WanderingHost } from "./wandering-upload.js"

export interface ClusterStormOptions {
  readonly seed: number
  /** How long faults happen, in virtual time. */
  readonly faultMs: number
  readonly nodes: number
  readonly devicesPerNode: number
  readonly versioned: boolean
  /** An operator changes what the cluster consists of. */
  readonly isChanged: boolean
  /** Needles rot. */
  readonly rots: boolean
  /** Clients of K2V write items, too. */
  readonly hasItems: boolean
  /** Others append to logs, and make snapshots of them. */
  readonly hasAppends: boolean
  /** Others add messages to a queue, and receive them. */
  readonly hasQueues: boolean
  /** Others coordinate with each other by sessions, locks and small files. */
  readonly hasCoord: boolean
  /** How many fronts each node has, any of which may serve a request. */
  readonly fronts: number
  /** Copies of pieces are kept once they were read. */
  readonly hotCopies?: HotCopyTerms | undefined
  /** After the storm the database loses what it committed for so long. */
  readonly lostMs?: number | undefined
}

/** In a failover to an asynchronous standby, or by a restore; most clusters keep everything. */
const LOST_MS = [undefined, 2_000, undefined, undefined, undefined, undefined, 45_000, undefined] as const

/** The cluster of a seed. */
export const clusterOf = (seed: number): Omit<ClusterStormOptions, "seed" | "faultMs"> => ({
  nodes: 3 + (seed % 8 === 7 ? 1 : 0),
  devicesPerNode: seed % 4 === 3 ? 2 : 1,
  versioned: seed % 3 === 0,
  isChanged: seed % 5 === 2,
  rots: seed % 2 === 0,
  hasItems: seed % 4 !== 2,
  hasAppends: seed % 4 !== 3,
  hasQueues: seed % 4 !== 1,
  hasCoord: seed % 4 !== 0,
  fronts: seed % 9 === 8 ? 2 : 0,
  lostMs: seed % 3 === 0 ? undefined : LOST_MS[seed % LOST_MS.length],
  hotCopies: Math.floor(seed / 8) % 4 === 3 ? FEW_HOT_COPIES : undefined,
})

/** By the contract, these failures had no effect. */
const REFUSALS: readonly FailureKind[] = [
  "preconditionFailed",
  "noSuchKey",
  "deviceFailed",
  "deviceFull",
  "stopping",
  "tooManyInFlight",
  "uploadAborted",
  "databaseUnreachable",
  "peerUnreachable",
  "notEnoughShards",
  // A completion whose process had to begin another incarnation.
  "conflict",
]
/** Clients of a node that send requests at the same time. */
const CLIENTS_PER_NODE = 2
/** Clients send requests for a while, all at the same time, and then rest. */
const WAVE_MS = 120
const REST_MS_MAX = 6_000
/** Clients of a short storm rest longer once its time for faults is over: one that lasts for minutes needs few requests. */
const LATE_REST_MS_MAX = 30_000
const SHORT_FAULT_MS = 15_000
/** In one of so many waves an upload is sent through all nodes. */
const WANDERING_EVERY = 3
const ITEM_REQUESTS_OF_WAVE = 6
const APPEND_REQUESTS_OF_WAVE = 4
const QUEUE_REQUESTS_OF_WAVE = 3
const COORD_CLIENTS_OF_WAVE = 2
const ITEM_PAUSE_MS_MAX = 40
/** While nodes join. */
const EARLY_WAVES_MAX = 4
/** Around the inline limit and the size of blocks. */
const SIZES = [40, 1_000, 1_000, 4_096, 4_097, 9_000, BLOCK_BYTES + 1]
/** None of them fits into a row. */
const SIZES_OF_NEEDLES = SIZES.filter(size => size > 4_096)
const BUCKET = parseBucketName("storm")
const OWNER = parseAccountId("root")
/** The longest time for which a statement waits for a deadlock, or a packet is on its way. */
const UNDER_WAY_MS = 5_000
const SETTLE_POLL_MS = 2_000
const SETTLE_MS_MAX = 30 * 60_000

/** The clients of one process. */
class Crew {
  readonly open = new Set<Write>()
  /** Work for clients, by the thread that does it. */
  readonly busy = new Map<Promise<void>, Server>()
  private readonly buckets = new Map<Server, Bucket>()
  private onFewer: () => void = () => undefined

  constructor(readonly serving: ServingNode) {}

  /** The thread of the engine, or a front. */
  pick(random: Random): Server {
    const { engine, threads } = this.serving
    const fronts = threads?.servers ?? []
    return fronts.length === 0 ? engine : (fronts[random.below(fronts.length + 1)] ?? engine)
  }

  serves(server: Server): boolean {
    return server === this.serving.engine || this.serving.threads?.serves(server) === true
  }

  async opened(server: Server): Promise<Bucket> {
    const bucket = this.buckets.get(server) ?? (await server.services.buckets.open(BUCKET))
    this.buckets.set(server, bucket)
    return bucket
  }

  do(server: Server, work: Promise<void>): void {
    this.busy.set(work, server)
    void work.then(() => {
      this.busy.delete(work)
      this.onFewer()
    })
  }

  /** A front has ended: what it was doing never comes to its end. */
  forget(server: Server): void {
    for (const [work, by] of [...this.busy]) if (by === server) this.busy.delete(work)
    this.onFewer()
  }

  /** Resolves once no client waits for a response. */
  async rest(): Promise<void> {
    while (this.busy.size > 0) await new Promise<void>(resolve => (this.onFewer = resolve))
  }
}

export class ClusterStorm implements NemesisHost, OperatorHost {
  readonly cluster: Cluster
  readonly rot: ClusterRot | undefined
  observer = new Observer()
  readonly nemesis: ClusterNemesis
  private readonly operator: ClusterOperator | undefined
  private readonly items: ItemClients | undefined
  private readonly appends: AppendClients | undefined
  private readonly queues: QueueClients | undefined
  private readonly coord: CoordClients | undefined
  private readonly random: Random
  private readonly crews = new Map<ClusterNode, Crew>()
  private readonly referenced = new Referenced()
  private readonly storeClock = new StoreClockWatch()
  private readonly errors: unknown[] = []
  /** They get no new requests. */
  private readonly stopping = new Set<ClusterNode>()
  private sizes: readonly number[] = SIZES
  private drawn = 0
  private waves = 0
  private areClientsWanted = true
  private waveEndsMs = 0
  private denseUntilMs = Infinity

  constructor(private readonly options: ClusterStormOptions) {
    this.cluster = new Cluster(options.seed, options.hotCopies, options.fronts)
    this.random = this.cluster.random.fork("storm")
    this.rot = options.rots ? new ClusterRot(this.cluster, this.cluster.random.fork("rot")) : undefined
    this.nemesis = new ClusterNemesis(this, this.cluster.random.fork("nemesis"))
    this.operator = options.isChanged ? new ClusterOperator(this, this.cluster.random.fork("operator")) : undefined
    const host = this.wanderingHost(this.cluster.random.fork("nodes of items"))
    this.items = options.hasItems ? new ItemClients(host, this.cluster.random.fork("items")) : undefined
    const ofLogs = this.wanderingHost(this.cluster.random.fork("nodes of logs"))
    this.appends = options.hasAppends ? new AppendClients(ofLogs, this.cluster.random.fork("logs")) : undefined
    const ofQueues = this.wanderingHost(this.cluster.random.fork("nodes of queues"))
    const { clock } = this.cluster
    this.queues = options.hasQueues
      ? new QueueClients(ofQueues, clock, this.cluster.random.fork("messages"))
      : undefined
    // The admin port is served by the thread of the engine.
    const ofCoord = this.wanderingHost(this.cluster.random.fork("nodes of coordination"), false)
    this.coord = options.hasCoord
      ? new CoordClients(ofCoord, this.cluster, this.cluster.random.fork("coordination"))
      : undefined
    this.cluster.endsSessions = options.hasCoord
    for (let number = 1; number <= options.nodes; number += 1) {
      const zone = String.fromCharCode(96 + number)
      this.cluster.addNode({ name: `n${number}`, zone, devices: options.devicesPerNode, latencyMsMax: 2 })
    }
  }

  /** Runs everything; throws `CheckFailed` for a broken promise. */
  run(): Promise<void> {
    return this.cluster.clock.runUntil(this.story())
  }

  get summary(): string {
    const minutes = Math.round(this.cluster.clock.monotonicMs() / 6_000) / 10
    const items = this.items === undefined ? "" : `${this.items.history.count} of items, `
    const appends = this.appends === undefined ? "" : `${this.appends.count} of logs, `
    const queues = this.queues === undefined ? "" : `${this.queues.count} of queues, `
    const { acquired, written, refused, ended } = this.coord?.counts ?? {}
    const coord = this.coord && `${acquired} locks (${written} writes, ${refused} refused, ${ended} sessions lost), `
    return `${this.observer.count} operations, ${items}${appends}${queues}${coord ?? ""}${this.nemesis.deeds.length} deeds, ${minutes} min, ${this.digest.slice(0, 12)}`
  }

  get digest(): string {
    return this.cluster.digest(this.observer.story(), this.items?.history.story() ?? "", ...this.nemesis.deeds)
  }

  private async story(): Promise<void> {
    const { cluster, random, options } = this
    const [first, ...others] = cluster.nodes
    const areTogether = random.below(2) === 0
    const starting = areTogether
      ? cluster.nodes.map(node => this.start(node))
      : [this.start(must(first, "a cluster has nodes"))]
    await Promise.all(starting)
    const { engine } = must(first?.serving, "the first node serves")
    const bucket = await engine.services.buckets.create({ name: BUCKET, owner: OWNER, location: "" })
    if (options.hasItems) await engine.services.buckets.create({ name: ITEM_BUCKET, owner: OWNER, location: "" })
    if (options.hasAppends) {
      const logs = await engine.services.buckets.create({ name: LOG_BUCKET, owner: OWNER, location: "" })
      await engine.services.buckets.setSetting(logs, "append", "{}")
    }
    await this.queues?.create(engine)
    await this.coord?.create(engine)
    if (options.versioned) await engine.services.buckets.setVersioning(bucket, "enabled")
    const early = this.makeWaves(random.below(EARLY_WAVES_MAX))
    if (!areTogether) for (const node of others) await this.start(node)
    await early
    await this.settled()
    this.denseUntilMs = cluster.clock.monotonicMs() + options.faultMs
    const clients = this.makeWaves(Infinity).catch((error: unknown) => this.onError(error))
    const changes = this.operator?.run(options.faultMs).catch((error: unknown) => this.onError(error))
    await this.nemesis.run(options.faultMs)
    await this.nemesis.end()
    await changes
    this.throwErrors()
    this.areClientsWanted = false
    await clients
    if (options.lostMs !== undefined) await this.loseCommits(options.lostMs)
    await this.restartAll()
    await this.settled()
    if (this.rot !== undefined && this.rot.count > 0) await this.scrubAll()
    await this.checkAll()
    await this.stopAll()
  }

  /** Starts a node, which ends its earlier process: what that has not committed is never committed. */
  async start(node: ClusterNode): Promise<void> {
    const serving = await this.cluster.start(node)
    const before = this.crews.get(node)
    if (before) this.observer.endLife(before.open)
    this.crews.set(node, new Crew(serving))
  }

  onError(error: unknown): void {
    this.errors.push(error)
  }

  mayFail(error: unknown): boolean {
    return mayFail(error)
  }

  note(deed: string): void {
    this.nemesis.note(deed)
  }

  reserve(node: ClusterNode): Promise<void> {
    return this.nemesis.reserve(node)
  }

  release(node: ClusterNode): void {
    this.nemesis.release(node)
  }

  async stop(node: ClusterNode): Promise<void> {
    const crew = this.crews.get(node)
    this.stopping.add(node)
    await crew?.rest()
    const left = await node.stop()
    this.stopping.delete(node)
    check("nothingLeaks", left === undefined, () => `${node.name}: ${left}`)
  }

  private async makeWaves(count: number): Promise<void> {
    const { cluster, random } = this
    for (let wave = 0; wave < count && this.areClientsWanted; wave += 1) {
      this.throwErrors()
      this.waves += 1
      this.waveEndsMs = cluster.clock.monotonicMs() + WAVE_MS
      for (const node of cluster.nodes) if (node.serving && !this.stopping.has(node)) this.sendFrom(node)
      if (random.below(WANDERING_EVERY) === 0) this.wander()
      if (this.items !== undefined) await this.sendSome(this.items, ITEM_REQUESTS_OF_WAVE)
      if (this.appends !== undefined) await this.sendSome(this.appends, APPEND_REQUESTS_OF_WAVE)
      if (this.queues !== undefined) await this.sendSome(this.queues, QUEUE_REQUESTS_OF_WAVE)
      for (let client = 0; client < COORD_CLIENTS_OF_WAVE; client += 1) this.coord?.send()
      const isLate = this.options.faultMs <= SHORT_FAULT_MS && cluster.clock.monotonicMs() > this.denseUntilMs
      await cluster.sleep(WAVE_MS + random.below(isLate ? LATE_REST_MS_MAX : REST_MS_MAX))
      this.referenced.note(cluster)
      this.storeClock.note(cluster)
      checkRepairGoesOn(cluster)
    }
  }

  private throwErrors(): void {
    if (this.errors.length > 0) throw this.errors[0]
    const [mistake] = this.cluster.mistakes
    check("noAssertionFails", mistake === undefined, () => String(mistake instanceof Error ? mistake.stack : mistake))
  }

  private sendFrom(node: ClusterNode): void {
    const crew = this.crews.get(node)
    if (crew === undefined || crew.serving !== node.serving) return
    for (let free = CLIENTS_PER_NODE - crew.busy.size; free > 0; free -= 1) {
      const server = crew.pick(this.random)
      const work = this.work(crew, server).catch((error: unknown) => void this.errors.push(error))
      crew.do(server, work)
    }
  }

  /** One of the fronts of a node ends. */
  endFront({ serving, name }: ClusterNode): void {
    const ended = serving?.threads?.kill(this.random.below(100))
    if (ended === undefined) return
    this.note(`a front of ${name} ends`)
    for (const crew of this.crews.values()) crew.forget(ended)
  }

  private async work(crew: Crew, server: Server): Promise<void> {
    let bucket: Bucket
    try {
      bucket = await crew.opened(server)
    } catch (error) {
      if (mayFail(error)) return
      throw isFailure(error, "noSuchBucket") ? new CheckFailed("acknowledgedStays", error.message) : error
    }
    const random = this.random.fork(`client ${this.waves}`)
    await new Client(this.hostOf(crew), server, bucket, random, String(this.waves)).work()
  }

  private async sendSome(clients: { send(): void }, count: number): Promise<void> {
    for (let request = 0; request < count; request += 1) {
      clients.send()
      await this.cluster.sleep(this.random.below(ITEM_PAUSE_MS_MAX))
    }
  }

  /** Sends an upload through all nodes. */
  private wander(): void {
    const random = this.random.fork(`wandering ${this.waves}`)
    const upload = new WanderingUpload(this.wanderingHost(random), random, `parts-${random.below(3)}`)
    void upload.run().catch((error: unknown) => this.onError(error))
  }

  /** For clients that send each request through any node, and there through any thread. */
  private wanderingHost(random: Random, isOfFronts = true): WanderingHost {
    const { observer } = this
    return {
      observer,
      mayFail,
      isRefusal: error => isFailure(error, ...REFUSALS),
      nextName: () => this.nextName(),
      onError: error => this.onError(error),
      through: send => {
        const free = [...this.crews.values()].filter(
          ({ serving }) => serving.node.serving === serving && !this.stopping.has(serving.node),
        )
        const crew = free[random.below(Math.max(1, free.length))]
        if (crew === undefined || !this.areClientsWanted) return undefined
        const server = isOfFronts ? crew.pick(random) : crew.serving.engine
        const sent = crew.opened(server).then(bucket => send(server, bucket))
        const work = sent.then(
          () => undefined,
          () => undefined,
        )
        crew.do(server, work)
        return sent
      },
    }
  }

  private nextName(): string {
    this.drawn += 1
    return `w${this.drawn}`
  }

  /** Returns what a client of this process uses. */
  private hostOf(crew: Crew): ClientHost {
    const { cluster, observer } = this
    const { node } = crew.serving
    return {
      observer: {
        begin: (...request) => {
          const write = observer.begin(...request)
          crew.open.add(write)
          return write
        },
        end: (write, ...outcome) => {
          crew.open.delete(write)
          observer.end(write, ...outcome)
        },
        wasThere: key => observer.wasThere(key),
      },
      refusals: REFUSALS,
      isDoubt: mayFail,
      sizes: this.sizes,
      pauseMsMax: 5,
      pause: durationMs => cluster.sleep(durationMs),
      isLive: server =>
        this.errors.length === 0 &&
        crew.serves(server) &&
        node.serving === crew.serving &&
        !this.stopping.has(node) &&
        cluster.clock.monotonicMs() < this.waveEndsMs,
      nextName: () => this.nextName(),
      read: (engine, bucket, key, fresh) => this.read(engine, bucket, key, fresh),
    }
  }

  /** Reads a key and compares the result with the clients' responses. */
  private async read(engine: Server, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined> {
    const { observer } = this
    const startTick = observer.now()
    const shown = await this.shownOf(engine, bucket, key)
    observer.read(key, shown, startTick, observer.now(), fresh)
    return shown?.etag
  }

  private async shownOf(engine: Server, bucket: Bucket, key: string): Promise<Shown | undefined> {
    const got = await find(engine, bucket, objectKeyOfText(key))
    const versionId = this.options.versioned ? got?.info.versionId : undefined
    return got && { name: nameOfBody(got.bytes), etag: got.info.etag, versionId }
  }

  /** One after the other: what an ended process has not finished is resolved without waiting for its age. */
  private async restartAll(): Promise<void> {
    for (const node of this.cluster.nodes) {
      await this.stop(node)
      await this.start(node)
    }
  }

  /** Waits until every node serves and the store is whole. */
  private async settled(): Promise<void> {
    const { cluster } = this
    const untilMs = cluster.clock.monotonicMs() + SETTLE_MS_MAX
    for (;;) {
      await cluster.sleep(SETTLE_POLL_MS)
      this.throwErrors()
      this.storeClock.note(cluster)
      this.storeClock.check()
      checkRepairGoesOn(cluster)
      const lacking = this.lacking()
      if (lacking === undefined) return
      check("nodesRecover", cluster.clock.monotonicMs() < untilMs, () => lacking)
    }
  }

  /** Verifies all needles of all nodes, and waits until what has rotted is written again. */
  private async scrubAll(): Promise<void> {
    const { cluster } = this
    const scrubs = () =>
      cluster.serving.flatMap(({ engine }) =>
        engine.devices.map(({ place, tending }) => ({ id: place.id, ...tending.scrub.view })),
      )
    const before = new Map(scrubs().map(({ id, passStartedMs }) => [id, passStartedMs]))
    const untilMs = cluster.clock.monotonicMs() + SETTLE_MS_MAX
    // A pass that was under way may be past what has rotted since: another one follows it.
    const unverified = () =>
      scrubs().filter(({ id, isRunning, passStartedMs }) => isRunning || before.get(id) === passStartedMs)
    // A shard counts as lost once a scrub has found its rot.
    for (let left: string | undefined = "a scrub does not end"; left !== undefined;) {
      const found = left
      check("rotIsFound", cluster.clock.monotonicMs() < untilMs, () => found)
      for (const { id } of unverified()) await cluster.serving[0]?.operations.startScrub(id)
      await cluster.sleep(SETTLE_POLL_MS)
      this.throwErrors()
      left = unverified().length > 0 ? "a scrub does not end" : this.rot?.left()
    }
    await this.settled()
  }

  /** The database loses what it committed for so long; the store must go on, and tell what is lost. */
  private async loseCommits(durationMs: number): Promise<void> {
    const { cluster, random } = this
    await this.settled()
    await this.rest()
    const rollback = new ClusterRollback(cluster, random.fork("rollback"), this.observer)
    this.sizes = SIZES_OF_NEEDLES
    await this.workFor(durationMs)
    const entries = await rollback.run()
    this.storeClock.rolledBack()
    await this.settled()
    const { engine } = must(cluster.pick(random), "all nodes serve")
    const bucket = await engine.services.buckets.open(BUCKET)
    const shown = new Map<string, Shown | undefined>()
    for (const key of this.observer.keys()) shown.set(key, await this.shownOf(engine, bucket, key))
    this.observer = rollback.judge(entries, shown)
    await this.items?.forget(engine)
    await this.appends?.forget(engine)
    await this.queues?.forget(engine)
    await this.coord?.forget()
    this.nemesis.note(`${entries.length} uploads were put back or listed`)
    await this.workFor(durationMs)
  }

  /** Clients send requests for a while, and their responses have arrived. */
  private async workFor(durationMs: number): Promise<void> {
    this.areClientsWanted = true
    const clients = this.makeWaves(Infinity)
    await this.cluster.sleep(durationMs)
    this.areClientsWanted = false
    await clients
    await this.rest()
  }

  /** No client waits for a response. */
  private async rest(): Promise<void> {
    for (const crew of this.crews.values()) await crew.rest()
  }

  private lacking(): string | undefined {
    for (const { name, serving } of this.cluster.nodes) {
      if (serving === undefined) return `${name} does not serve`
      const { health, safety, layout, reencoding, devices } = serving.status.report()
      const reasons = [...health.reasons, ...safety.reasons]
      if (reasons.length > 0) return `${name}: ${reasons.join("; ")}`
      if (layout.transition || reencoding) return `${name}: shards move`
      const device = devices.find(({ state }) => state !== "active")
      if (device) return `${name}: ${device.path} is ${device.state}`
      const isDevice = (node: ClusterNode, path: string): boolean =>
        devices.some(device => device.node === node.name && device.path === path)
      for (const node of this.cluster.nodes) {
        const unused = node.folders.find(path => node.given.includes(path) && !isDevice(node, path))
        if (unused !== undefined) return `${name}: ${node.name}:${unused} is not part of the store`
      }
    }
    const record = this.cluster.serving[0]?.engine.recordManager.record
    return record && (unlikePolicyOf(this.cluster, record) ?? missingShardOf(this.cluster, record))
  }

  private async checkAll(): Promise<void> {
    const { cluster, observer, random } = this
    for (const { engine } of cluster.serving) {
      const bucket = await engine.services.buckets.open(BUCKET)
      for (const key of observer.keys()) await this.read(engine, bucket, key, "acknowledgedStays").catch(asLost(key))
      await this.items?.check(engine)
      await this.appends?.check(engine)
      await this.queues?.check(engine)
      await this.coord?.check(engine)
    }
    observer.checkWinners()
    observer.checkLinearizable(this.options.versioned ? "enabled" : "never")
    const serving = cluster.pick(random)
    if (serving === undefined) throw new CheckFailed("nodesRecover", "no node serves")
    await auditListings({ run: async value => value }, serving.engine, BUCKET)
    this.referenced.note(cluster)
    this.referenced.check(cluster)
    checkMachines(cluster, serving.engine.recordManager.record)
  }

  private async stopAll(): Promise<void> {
    const { cluster } = this
    for (const node of cluster.nodes) await this.stop(node)
    // The sleep is for what the network and the database still had under way.
    await cluster.sleep(UNDER_WAY_MS)
    check("nothingLeaks", cluster.clock.sleepers === 0, () => `alarms are set: ${cluster.clock.sleepersText()}`)
    check(
      "nothingLeaks",
      cluster.network.connections === 0,
      () => `${cluster.network.connections} connections are open`,
    )
    this.throwErrors()
  }
}

/** A request may fail so while something is broken; a write with such a failure may have happened. */
const mayFail = (error: unknown): boolean =>
  isFailure(error) && (error.remedy === "backOff" || error.kind === "notEnoughShards")

const asLost = (key: string) => (error: unknown) => {
  if (error instanceof CheckFailed) throw error
  throw new CheckFailed("acknowledgedStays", `${key} cannot be read: ${String(error)}`)
}
