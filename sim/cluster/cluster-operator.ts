/**
 * Operator of a cluster: changes what it consists of while the nemesis breaks it and clients work. Devices are added,
 * drained, used again and removed; nodes join and are removed. One change after the other, through any node.
 *
 * Promises  When `run` has ended, every folder of every node belongs to the store, or will once its node starts again; what
 *           was removed is not part of the cluster any more.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { parseNodeName } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { StoreChange } from "@hayloft/node/control/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"
import type { ClusterNode, ServingNode } from "./cluster-node.js"

const GAP_MS_MAX = 12_000
const POLL_MS = 300
/** So many stay: each block has shards on so many machines. */
const NODES_MIN = 3
const NODES_MAX = 5
const DEVICES_EACH_MAX = 3
/** For how long a device keeps nothing. */
const DRAINED_MS_MAX = 20_000
/** Every node has read the record by then, if it can access the database. */
const RECORD_READ_MS = 10_000
/** The store is healed long before: then every change must end. */
const CHANGE_MS_MAX = 60 * 60_000

export interface OperatorHost {
  readonly cluster: Cluster
  start(node: ClusterNode): Promise<void>
  stop(node: ClusterNode): Promise<void>
  /** Resolves once the nemesis leaves the node alone, until it is released. */
  reserve(node: ClusterNode): Promise<void>
  release(node: ClusterNode): void
  /** A failure that a request may have while something is broken. */
  mayFail(error: unknown): boolean
  note(deed: string): void
}

export class ClusterOperator {
  private added = 0

  constructor(
    private readonly host: OperatorHost,
    private readonly random: Random,
  ) {}

  /** Makes changes for a while, and ends what it has begun. */
  async run(durationMs: number): Promise<void> {
    const { cluster } = this.host
    const untilMs = cluster.clock.monotonicMs() + durationMs
    for (;;) {
      await cluster.sleep(this.random.below(GAP_MS_MAX))
      if (cluster.clock.monotonicMs() >= untilMs) return
      await this.act()
    }
  }

  private act(): Promise<void> {
    const node = must(this.cluster.nodes[this.random.below(this.cluster.nodes.length)], "a cluster has nodes")
    switch (this.random.below(5)) {
      case 0:
        return this.addDevice(node)
      case 1:
        return this.drainDevice(node)
      case 2:
        return this.removeDevice(node)
      case 3:
        return this.join()
      default:
        return this.removeNode(node)
    }
  }

  private get cluster(): Cluster {
    return this.host.cluster
  }

  /** The newest record that a node knows; undefined while none serves. */
  private get record(): ControlRecord | undefined {
    const records = this.cluster.serving.map(({ engine }) => engine.recordManager.record)
    return records.sort((a, b) => b.generation - a.generation)[0]
  }

  /** Requests a change of any node. False: it has not happened, or perhaps not. */
  private async change(change: StoreChange): Promise<boolean> {
    const serving = this.cluster.pick(this.random)
    if (serving === undefined) return false
    const about = "id" in change ? change.id : "node" in change ? change.node : ""
    try {
      const isMade = await whileServing(this.cluster, serving, async () => {
        const { operations } = serving
        const { confirmBy } = await operations.plan(change)
        await operations.change(change, confirmBy)
        return true
      })
      this.host.note(`${change.kind} ${about} through ${serving.node.name}${isMade === true ? "" : ", which ended"}`)
      return isMade ?? false
    } catch (error) {
      const isRefused = isFailure(error, "conflict", "invalidArgument", "indeterminate", "deviceFailed", "stopping")
      if (!isRefused && !this.host.mayFail(error)) throw error
      this.host.note(`${change.kind} ${about} failed: ${String(error)}`)
      return false
    }
  }

  private async addDevice(node: ClusterNode): Promise<void> {
    if (node.folders.length >= DEVICES_EACH_MAX) return
    const path = node.addDrive()
    await this.change({ kind: "addDevice", path, weight: undefined, node: parseNodeName(node.name) })
    // Whatever has become of it: the next start of the node finds it.
    node.folders = [...node.folders, path]
  }

  private deviceOf(node: ClusterNode): DeviceId | undefined {
    const own = this.record?.devices.filter(({ home, state }) => home?.node === node.name && state === "active") ?? []
    return own.length < 2 ? undefined : own[this.random.below(own.length)]?.id
  }

  private async drainDevice(node: ClusterNode): Promise<void> {
    const id = this.deviceOf(node)
    if (id === undefined || !(await this.change({ kind: "drainDevice", id }))) return
    await this.cluster.sleep(this.random.below(DRAINED_MS_MAX))
    await this.until(`device ${id} is used again`, async () => {
      const device = this.record?.devices.find(each => each.id === id)
      if (device === undefined) return false
      return device.state !== "draining" || this.change({ kind: "useDevice", id })
    })
  }

  private async removeDevice(node: ClusterNode): Promise<void> {
    const id = this.deviceOf(node)
    const path = this.record?.devices.find(device => device.id === id)?.pathHint
    if (id === undefined || path === undefined || !(await this.change({ kind: "removeDevice", id }))) return
    await this.until(`device ${id} is removed`, async () => {
      const { record } = this
      return record !== undefined && record.devices.every(device => device.id !== id)
    })
    node.folders = node.folders.filter(folder => folder !== path)
  }

  private async join(): Promise<void> {
    const { cluster } = this
    if (cluster.nodes.length >= NODES_MAX) return
    this.added += 1
    const node = cluster.addNode({ name: `j${this.added}`, zone: `j${this.added}`, devices: 1, latencyMsMax: 2 })
    this.host.note(`${node.name} joins`)
    await this.host.start(node)
  }

  private async removeNode(node: ClusterNode): Promise<void> {
    const { cluster } = this
    const others = cluster.nodes.filter(each => each !== node && this.hasDevices(each))
    if (others.length < NODES_MIN) return
    if (!(await this.change({ kind: "removeNode", node: parseNodeName(node.name) }))) return
    const isRemoved = (): boolean => {
      const { record } = this
      return record !== undefined && !(record.leavingNodes ?? []).includes(parseNodeName(node.name))
    }
    await this.until(
      `node ${node.name} is empty`,
      async () => !this.hasDevices(node) && (node.isExcluded || isRemoved()),
    )
    await this.host.reserve(node)
    await this.host.stop(node)
    await this.until(`node ${node.name} is removed`, async () => isRemoved())
    await cluster.sleep(RECORD_READ_MS)
    if (this.hasDevices(node)) {
      // The nemesis started it once more after the store had forgotten it: it has joined as a new node.
      this.host.note(`${node.name} has joined again`)
      await this.host.start(node)
      this.host.release(node)
      return
    }
    cluster.remove(node)
    this.host.note(`${node.name} is gone`)
  }

  private hasDevices({ name }: ClusterNode): boolean {
    return this.record?.devices.some(({ home }) => home?.node === name) ?? true
  }

  private async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const { cluster } = this
    const untilMs = cluster.clock.monotonicMs() + CHANGE_MS_MAX
    while (!(await isSo())) {
      check("nodesRecover", cluster.clock.monotonicMs() < untilMs, () => `it takes too long until ${what}`)
      await cluster.sleep(POLL_MS)
    }
  }
}

/** Returns undefined if the process has ended meanwhile: its work never settles. */
function whileServing<T>(cluster: Cluster, serving: ServingNode, work: () => Promise<T>): Promise<T | undefined> {
  let isOver = false
  const ended = async (): Promise<undefined> => {
    while (!isOver && serving.node.serving === serving) await cluster.sleep(POLL_MS)
  }
  const worked = work().finally(() => void (isOver = true))
  return Promise.race([worked, ended()])
}
