/**
 * Cluster storm: clients of all nodes on the same few keys, while a nemesis breaks nodes, networks, disks and the
 * database. Then everything is healed, and the store must become whole by itself, with everything that was
 * acknowledged, on every node.
 */
import { must } from "../../src/base/assert.js"
import { isFailure, type FailureKind } from "../../src/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "../../src/base/ids.js"
import type { Engine } from "../../src/node/engine.js"
import type { Bucket } from "../../src/object/index.js"
import type { Random } from "../../src/seams/random/contract.js"
import { auditListings } from "../world/audit.js"
import { find, nameOfBody } from "../world/bodies.js"
import { check, CheckFailed, type CheckName } from "../world/checks.js"
import { Client, type ClientHost } from "../world/clients.js"
import { Observer, type Write } from "../world/observer.js"
import { Cluster } from "./cluster.js"
import { ClusterNemesis, type NemesisHost } from "./cluster-nemesis.js"
import { BLOCK_BYTES, type ClusterNode, type ServingNode } from "./cluster-node.js"
import { checkMachines, missingShardOf, Referenced, unlikePolicyOf } from "./content.js"

export interface ClusterStormOptions {
  readonly seed: number
  /** How long faults happen, in virtual time. */
  readonly faultMs: number
  readonly nodes: number
  readonly devicesPerNode: number
  readonly versioned: boolean
}

/** The cluster of a seed. */
export const clusterOf = (seed: number): Pick<ClusterStormOptions, "nodes" | "devicesPerNode" | "versioned"> => ({
  nodes: 3 + (seed % 8 === 7 ? 1 : 0),
  devicesPerNode: seed % 4 === 3 ? 2 : 1,
  versioned: seed % 3 === 0,
})

/** By the contract, these failures had no effect. */
const REFUSALS: readonly FailureKind[] = [
  ...(["preconditionFailed", "noSuchKey", "deviceFailed", "deviceFull", "stopping", "tooManyInFlight"] as const),
  ...(["uploadAborted", "databaseUnreachable", "peerUnreachable", "notEnoughShards"] as const),
]
/** Clients of a node that send requests at the same time. */
const CLIENTS_PER_NODE = 2
/** Clients send requests for a while, all at the same time, and then rest. */
const WAVE_MS = 120
const REST_MS_MAX = 6_000
/** While nodes join. */
const EARLY_WAVES_MAX = 4
/** Around the inline limit and the size of blocks. */
const SIZES = [40, 1_000, 1_000, 4_096, 4_097, 9_000, BLOCK_BYTES + 1]
const BUCKET = parseBucketName("storm")
const OWNER = parseAccountId("root")
/**
 * Released blocks stay as they were written until the retention is over, and status counts them: see `unlikePolicyOf` for
 * those that objects consist of.
 */
const OF_RELEASED =
  /^(some blocks are not placed as their policy requires|\d+ blocks exist as a single copy.*|older blocks are still under another policy)$/
/** The longest time for which a statement waits for a deadlock, or a packet is on its way. */
const UNDER_WAY_MS = 5_000
const SETTLE_POLL_MS = 2_000
const SETTLE_MS_MAX = 30 * 60_000

/** The clients of one process. */
class Crew {
  readonly open = new Set<Write>()
  readonly busy = new Set<Promise<void>>()
  bucket: Bucket | undefined

  constructor(readonly serving: ServingNode) {}
}

export class ClusterStorm implements NemesisHost {
  readonly cluster: Cluster
  readonly observer = new Observer()
  readonly nemesis: ClusterNemesis
  private readonly random: Random
  private readonly crews = new Map<ClusterNode, Crew>()
  private readonly referenced = new Referenced()
  private readonly errors: unknown[] = []
  /** They get no new requests. */
  private readonly stopping = new Set<ClusterNode>()
  private drawn = 0
  private waves = 0
  private areClientsWanted = true
  private waveEndsMs = 0

  constructor(private readonly options: ClusterStormOptions) {
    this.cluster = new Cluster(options.seed)
    this.random = this.cluster.random.fork("storm")
    this.nemesis = new ClusterNemesis(this, this.cluster.random.fork("nemesis"))
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
    return `${this.observer.count} operations, ${this.nemesis.deeds.length} deeds, ${minutes} min, ${this.digest.slice(0, 12)}`
  }

  get digest(): string {
    return this.cluster.digest(this.observer.story(), ...this.nemesis.deeds)
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
    if (options.versioned) await engine.services.buckets.setVersioning(bucket, "enabled")
    const early = this.makeWaves(random.below(EARLY_WAVES_MAX))
    if (!areTogether) for (const node of others) await this.start(node)
    await early
    await this.settled()
    const clients = this.makeWaves(Infinity)
    await this.nemesis.run(options.faultMs)
    await this.nemesis.end()
    this.throwErrors()
    this.areClientsWanted = false
    await clients
    await this.restartAll()
    await this.settled()
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

  async stop(node: ClusterNode): Promise<void> {
    const crew = this.crews.get(node)
    this.stopping.add(node)
    if (crew) await Promise.all([...crew.busy])
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
      await cluster.sleep(WAVE_MS + random.below(REST_MS_MAX))
      this.referenced.note(cluster)
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
      const work = this.work(crew).catch((error: unknown) => void this.errors.push(error))
      crew.busy.add(work)
      void work.then(() => crew.busy.delete(work))
    }
  }

  private async work(crew: Crew): Promise<void> {
    const { engine } = crew.serving
    try {
      crew.bucket ??= await engine.services.buckets.open(BUCKET)
    } catch (error) {
      if (mayFail(error)) return
      throw isFailure(error, "noSuchBucket") ? new CheckFailed("acknowledgedStays", error.message) : error
    }
    const random = this.random.fork(`client ${this.waves}`)
    await new Client(this.hostOf(crew), engine, crew.bucket, random, String(this.waves)).work()
  }

  /** What a client of this process uses. */
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
      sizes: SIZES,
      pauseMsMax: 5,
      pause: durationMs => cluster.sleep(durationMs),
      isLive: () =>
        this.errors.length === 0 &&
        node.serving === crew.serving &&
        !this.stopping.has(node) &&
        cluster.clock.monotonicMs() < this.waveEndsMs,
      nextName: () => {
        this.drawn += 1
        return `w${this.drawn}`
      },
      read: (engine, bucket, key, fresh) => this.read(engine, bucket, key, fresh),
    }
  }

  /** Reads a key and compares the result with the clients' responses. */
  private async read(engine: Engine, bucket: Bucket, key: string, fresh: CheckName): Promise<string | undefined> {
    const startTick = this.observer.now()
    const got = await find(engine, bucket, objectKeyOfText(key))
    const versionId = this.options.versioned ? got?.info.versionId : undefined
    const shown = got && { name: nameOfBody(got.bytes), etag: got.info.etag, versionId }
    this.observer.read(key, shown, startTick, this.observer.now(), fresh)
    return got?.info.etag
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
      this.resumeOrphans()
      const lacking = this.lacking()
      if (lacking === undefined) return
      check("nodesRecover", cluster.clock.monotonicMs() < untilMs, () => lacking)
    }
  }

  /** As an operator does who knows that the nodes were disturbed often, and that no metadata is lost. */
  private resumeOrphans(): void {
    for (const { engine } of this.cluster.serving) {
      const { orphans } = engine.services
      if (orphans.report().isStopped) orphans.resume()
    }
  }

  private lacking(): string | undefined {
    for (const { name, serving } of this.cluster.nodes) {
      if (serving === undefined) return `${name} does not serve`
      const { health, safety, layout, reencoding, devices } = serving.status.report()
      const others = [...health.reasons, ...safety.reasons].filter(reason => !OF_RELEASED.test(reason))
      if (others.length > 0) return `${name}: ${others.join("; ")}`
      if (layout.transition || reencoding) return `${name}: shards move`
      const device = devices.find(({ state }) => state !== "active")
      if (device) return `${name}: ${device.path} is ${device.state}`
      const known = devices.length
      const wanted = this.cluster.nodes.reduce((sum, { folders }) => sum + folders.length, 0)
      if (known !== wanted) return `${name}: ${known} of ${wanted} devices are part of the store`
    }
    const record = this.cluster.serving[0]?.engine.recordManager.record
    return record && (unlikePolicyOf(this.cluster, record) ?? missingShardOf(this.cluster, record))
  }

  private async checkAll(): Promise<void> {
    const { cluster, observer, random } = this
    for (const { engine } of cluster.serving) {
      const bucket = await engine.services.buckets.open(BUCKET)
      for (const key of observer.keys()) await this.read(engine, bucket, key, "acknowledgedStays").catch(asLost(key))
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
    // What the network and the database still had under way.
    await cluster.sleep(UNDER_WAY_MS)
    check("nothingLeaks", cluster.clock.sleepers === 0, () => `${cluster.clock.sleepers} alarms are set`)
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
