/**
 * Drama of several nodes: clients use a store of node processes over a real PostgreSQL, while nodes, disks, networks and
 * the database fail. At the end every history of a key is linearizable, every node reads every acknowledged object
 * byte for byte, no deleted object has reappeared, listings and counters agree, and no block lacks a shard.
 *
 * Limits  Those of the clients and the nemesis; `SETTLED_MS` until the store has settled at the end.
 */
import { setTimeout as later } from "node:timers/promises"
import { missingForShim, Shim } from "../faults/shim.js"
import { quietParent, withFolder } from "../harness/folders.js"
import { TestNodes, type TestNode } from "../harness/nodes.js"
import { PeerNetwork } from "../harness/peer-network.js"
import { haveJoined, statusOf } from "../cluster/stores.js"
import { Cutter } from "../sql/cutter.js"
import { Clients, type Pace } from "./clients.js"
import { NodesNemesis, type NodesAct } from "./nodes-nemesis.js"
import { usedNodes } from "./used-nodes.js"

export interface NodesDramaOptions {
  readonly minutes: number
  readonly nodes: number
  readonly seed: number
  /** The acts to play; all if absent. */
  readonly only?: readonly NodesAct[] | undefined
  /** Acts of each actor that are played even if that takes longer; default: each of its acts once. */
  readonly actsLeast?: number | undefined
  readonly pace?: Pace
  /** Nodes wait less for each other than in a store of users, and faults are as much shorter. */
  readonly isHurried?: boolean
  /** At the end every disk and machine that the redundancy spares may fail: this takes over 15 minutes. */
  readonly untilWhole?: boolean
  readonly log?: (line: string) => void
}

export interface NodesDramaResult {
  readonly violations: readonly string[]
  readonly operations: number
  readonly acts: ReadonlyMap<NodesAct, number>
  /** Answers by kind. */
  readonly counts: ReadonlyMap<string, number>
  readonly longestMs: number
}

const FOLDERS_EACH = 2
const SETTLED_MS = 300_000
/** A device that has returned counts as whole after 15 minutes. */
const WHOLE_MS = 25 * 60_000
const LOOK_MS = 500
/** Objects that are written while shards are put back must have all of theirs too. */
const FURTHER_MS = 5_000

type Status = Awaited<ReturnType<typeof statusOf>>

const isInUse = ({ state }: Status["devices"][number]): boolean => state === "active" || state === "rebuilding"

/** Returns why the store has not settled; undefined: it serves, and no block lacks a shard. */
function whyNotSettled({ devices, health, layout, repair }: Status): string | undefined {
  const others = devices.filter(device => !isInUse(device))
  if (others.length > 0) return others.map(({ id, state, reason }) => `${id} is ${state} (${reason})`).join(", ")
  if (layout.transition !== undefined) return `shards move: ${JSON.stringify(layout.transition)}`
  if (repair === undefined || repair.partitionsScanned < 65_536) return "repair has not scanned all partitions"
  if (repair.progress.remainingBytes > 0) return `repair: ${JSON.stringify(repair)}`
  return health.ready ? undefined : health.reasons.join("; ")
}

function whyNotWhole(status: Status): string | undefined {
  const { safety, devices, repair } = status
  if (devices.some(({ state }) => state !== "active")) return devices.map(({ id, state }) => `${id} ${state}`).join()
  if (repair?.partitionsRemaining !== 0) return `repair: ${JSON.stringify(repair)}`
  return whyNotSettled(status) ?? safety.reasons[0]
}

class NodesDrama {
  private readonly clients: Clients
  private readonly nemesis: NodesNemesis
  private readonly nodes: TestNodes

  constructor(
    target: ConstructorParameters<typeof NodesNemesis>[0],
    private readonly options: NodesDramaOptions,
    private readonly log: (line: string) => void,
  ) {
    const { seed, only, actsLeast, pace, isHurried } = options
    this.nodes = target.nodes
    this.clients = new Clients(usedNodes(target.nodes), seed, text => log(`VIOLATION ${text.slice(0, 300)}`), pace)
    const onViolation = (text: string) => this.clients.record.violation(text)
    this.nemesis = new NodesNemesis(target, { seed, only, actsLeast, isHurried, log, onViolation })
  }

  async run(): Promise<NodesDramaResult> {
    const { record } = this.clients
    try {
      await this.play()
      if (record.violations.length === 0) await this.look()
    } catch (error) {
      record.violation(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
    await this.clients.quiet()
    this.clients.checkHistories()
    if (record.violations.length > 0) {
      for (const { name, output } of this.nodes.all) record.violation(`${name}: ${output.slice(-20_000)}`)
    }
    const { operations, longestMs } = this.clients
    return { violations: record.violations, operations, acts: this.nemesis.done, counts: record.counts, longestMs }
  }

  private async play(): Promise<void> {
    const endMs = performance.now() + this.options.minutes * 60_000
    const { clients } = this
    await clients.makeBuckets()
    clients.begin()
    const isBroken = () => clients.record.violations.length > 0
    await this.nemesis.run(() => performance.now() > endMs, isBroken)
  }

  private async look(): Promise<void> {
    const { clients } = this
    await later(FURTHER_MS)
    await clients.quiet()
    await this.until(SETTLED_MS, whyNotSettled)
    this.log("settled")
    await clients.finishUploads()
    await clients.readAll()
    await clients.checkQuiet()
    if (this.options.untilWhole === true) {
      await this.until(WHOLE_MS, whyNotWhole)
      this.log("whole")
      await clients.readAll()
    }
    await clients.removeAll()
    await clients.checkQuiet()
  }

  /** Waits until every node says so. */
  private async until(timeoutMs: number, whyNot: (status: Status) => string | undefined): Promise<void> {
    const untilMs = performance.now() + timeoutMs
    for (const node of this.nodes.all) {
      for (;;) {
        const why = whyNot(await statusOf(node))
        if (why === undefined) break
        if (performance.now() > untilMs) throw new Error(`${node.name}, after ${timeoutMs} ms: ${why}`)
        await later(LOOK_MS)
      }
    }
  }
}

export const replayCommand = ({ minutes, nodes, seed, only, actsLeast, isHurried }: NodesDramaOptions): string =>
  [
    `npm run drama -- --nodes ${nodes} --minutes ${minutes} --seed ${seed}`,
    ...(actsLeast === undefined ? [] : [`--acts ${actsLeast}`]),
    ...(only ? [`--only ${only.join()}`] : []),
    ...(isHurried === true ? ["--hurried"] : []),
  ].join(" ")

/** Starts a store; clients and nemesis reach it through what can be cut. */
async function withTarget<T>(
  root: string,
  { nodes: count, isHurried }: NodesDramaOptions,
  work: (target: ConstructorParameters<typeof NodesNemesis>[0]) => Promise<T>,
): Promise<T> {
  const missing = await missingForShim()
  if (missing !== undefined) console.log(`SKIPPED: disks that fail or fill up during use: ${missing}`)
  const shim = missing === undefined ? await Shim.build(root) : undefined
  shim?.set([])
  const network = new PeerNetwork()
  const nodes = await TestNodes.empty(root, ["--redundancy", "ec:4+2"], isHurried)
  const cutters = new Map<TestNode, Cutter>()
  try {
    for (let i = 0; i < count; i += 1) {
      const cutter = await Cutter.before(nodes.databases.server.port)
      const environment = { ...shim?.env, HAYLOFT_CLUSTER: cutter.urlOf(nodes.url) }
      const node = await nodes.add(FOLDERS_EACH, { environment })
      cutters.set(node, cutter)
      await node.start(await network.argsOf(node))
    }
    await haveJoined(nodes.at(1), nodes.all.length * FOLDERS_EACH)
    return await work({ nodes, network, cutters, shim })
  } finally {
    await nodes.end()
    network.close()
    await Promise.all([...cutters.values()].map(cutter => cutter.stop()))
  }
}

/** Plays on a store of its own; reports the store's faults instead of throwing. */
export function nodesDrama(options: NodesDramaOptions): Promise<NodesDramaResult> {
  const startedMs = performance.now()
  const log = (line: string): void => {
    options.log?.(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} ${line}`)
  }
  return withFolder(
    root => withTarget(root, options, target => new NodesDrama(target, options, log).run()),
    quietParent(),
  )
}
