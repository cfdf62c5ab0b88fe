/**
 * Cluster operations: an operator's requests to any node of the store. What concerns a device or a folder is done by the
 * node that has it, and what concerns a job by the node that does it now; everything else is a change of the control
 * record, which any node makes.
 *
 * Promises  Failures of the other node arrive as they are. If its answer is lost, the failure tells whether the operation
 *           may have happened.
 */
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, NodeName } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { deviceOf } from "@hayloft/engine/cluster/index.js"
import type { DeviceDisk } from "@hayloft/engine/format/nodes/disk-report.js"
import type { LayoutFile } from "@hayloft/engine/format/device/layout-file.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import {
  decodeNodeOperation,
  decodeOperationResult,
  encodeNodeOperation,
  encodeOperationResult,
  OPERATE_CALL,
  type FolderChange,
  type NodeOperation,
  type NodeOperationResult,
  type ReportedBackup,
} from "@hayloft/engine/format/nodes/node-operation.js"
import type {
  NodeTraffic,
  TracedRequests,
  TraceQuestion,
  TrafficWindow,
} from "@hayloft/engine/format/nodes/live-report.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Answered } from "@hayloft/engine/rpc/contract.js"
import { bytesBody, type RpcMethod, type RpcServer } from "@hayloft/engine/rpc/index.js"
import type {
  AppliedChange,
  ChangePlan,
  DeviceCheck,
  LayoutDetails,
  PendingReport,
  RedundancyReport,
  StoreChange,
  StoreOperations,
} from "../control/contract.js"
import type { JobReport } from "../status/contract.js"
import type { Duty } from "../status/nodes-core.js"
import type { ClusterView, OtherNode } from "./cluster-view.js"

const BACKUP_JOB = "metadata-backup"

const OPERATE_LIMITS = {
  /** Taking a folder waits for several calls of its disk, each of which may take seconds. */
  deadlineMs: 120_000,
  /** The deadline for reads from the memory of a node. */
  liveMs: 2_000,
  resultBytesMax: 1 * MIB,
  nodesConcurrent: 16,
} as const

const OPERATE: RpcMethod<NodeOperation, undefined> = {
  number: OPERATE_CALL,
  name: "operate",
  changes: true,
  request: { encode: encodeNodeOperation, decode: decodeNodeOperation },
  response: { encode: () => new Uint8Array(0), decode: () => undefined },
}

/** The same call, for what is only read. */
const LOOK = { ...OPERATE, changes: false }

/** The requests and the traffic that this node serves, and the disks of its devices. */
export interface OwnLive {
  readonly requests: { answer(question: TraceQuestion): TracedRequests }
  readonly traffic: { counts(window: TrafficWindow): NodeTraffic }
  readonly disks: { read(): Promise<readonly DeviceDisk[]> }
}

/** `own`: operations on this node alone. */
export const serveOperations = (server: RpcServer, own: StoreOperations, live: OwnLive): void =>
  server.handle(OPERATE, async operation => ({
    value: undefined,
    body: bytesBody(encodeOperationResult(await operate(own, live, operation))),
  }))

async function operate(own: StoreOperations, live: OwnLive, operation: NodeOperation): Promise<NodeOperationResult> {
  switch (operation.kind) {
    case "plan": {
      const { outlook, ...plan } = await own.plan(operation.change)
      return { kind: "planned", plan, ...(outlook !== undefined && { outlook }) }
    }
    case "change": {
      const { change, confirm, lockedBuckets, outlook } = operation
      return { kind: "changed", ...(await own.change(change, confirm, lockedBuckets, outlook)) }
    }
    case "check":
      return { kind: "checked", ...(await own.checkDevice(operation.id)) }
    case "scrub":
      await own.startScrub(operation.id)
      return { kind: "done" }
    case "throttle":
      return { kind: "job", job: await own.setThrottle(operation.job, operation.throttle) }
    case "wake":
      return { kind: "job", job: await own.wakeJob(operation.job) }
    case "orphans":
      return { kind: "job", job: await own.resumeOrphans() }
    case "pending":
      return { kind: "pending", ...(await own.pending()) }
    case "trace":
      return { kind: "traced", ...live.requests.answer(operation) }
    case "traffic":
      return { kind: "traffic", ...live.traffic.counts(operation.window) }
    case "disks":
      return { kind: "disks", disks: await live.disks.read() }
    case "backup":
      return { kind: "backup", backup: await (operation.isOrdered ? own.orderBackup() : own.backup()) }
  }
}

async function ask<Kind extends NodeOperationResult["kind"]>(
  { name, peer, trouble }: OtherNode,
  operation: NodeOperation,
  kind: Kind,
): Promise<Extract<NodeOperationResult, { kind: Kind }>> {
  if (trouble !== undefined) {
    throw fail("peerUnreachable", {
      message: `node ${name} has to do this and cannot be reached: ${trouble}`,
      node: name,
    })
  }
  return answerOf(
    peer.call(OPERATE, operation, { callClass: "background", deadlineMs: OPERATE_LIMITS.deadlineMs }),
    kind,
  )
}

async function answerOf<Kind extends NodeOperationResult["kind"]>(
  call: Promise<Answered<undefined>>,
  kind: Kind,
): Promise<Extract<NodeOperationResult, { kind: Kind }>> {
  const { body } = await call
  const result = decodeOperationResult(await body.whole(OPERATE_LIMITS.resultBytesMax))
  if (!isOf(result, kind)) throw fail("corruptRecord", { what: "operation result", expected: kind, found: result.kind })
  return result
}

const isOf = <Kind extends NodeOperationResult["kind"]>(
  result: NodeOperationResult,
  kind: Kind,
): result is Extract<NodeOperationResult, { kind: Kind }> => result.kind === kind

/**
 * The requests and the traffic that the other nodes serve, and the disks of their devices, as they report them when asked.
 * All methods reject if the node does not answer.
 */
export class LiveNodes {
  constructor(
    readonly own: NodeName,
    private readonly view: Pick<ClusterView, "nodes" | "isOver">,
  ) {}

  /** Also those that do not run. */
  get others(): readonly string[] {
    return this.view.nodes.map(({ name }) => name)
  }

  traffic(node: string, window: TrafficWindow): Promise<NodeTraffic> {
    return this.ask(node, { kind: "traffic", window }, "traffic")
  }

  async disks(node: string): Promise<readonly DeviceDisk[]> {
    return (await this.ask(node, { kind: "disks" }, "disks")).disks
  }

  /** Also rejects if the signal fires. */
  trace(node: string, question: TraceQuestion, signal: AbortSignal): Promise<TracedRequests> {
    return this.ask(node, { kind: "trace", ...question }, "traced", signal)
  }

  private async ask<Kind extends "traffic" | "traced" | "disks">(
    name: string,
    operation: NodeOperation,
    kind: Kind,
    signal?: AbortSignal,
  ): Promise<Extract<NodeOperationResult, { kind: Kind }>> {
    const node = this.view.nodes.find(each => each.name === name)
    if (node === undefined) throw fail("peerUnreachable", { message: "it has left the store" })
    if (this.view.isOver(node.row.incarnation)) throw fail("peerUnreachable", { message: "it does not run" })
    if (node.trouble !== undefined) throw fail("peerUnreachable", { message: `it cannot be reached: ${node.trouble}` })
    const options = { callClass: "background", deadlineMs: OPERATE_LIMITS.liveMs, ...(signal && { signal }) } as const
    try {
      return await answerOf(node.peer.call(LOOK, operation, options), kind)
    } catch (error) {
      // Earlier releases refuse an operation that they do not know.
      if (!isFailure(error, "corruptRecord")) throw error
      throw fail("notImplemented", { message: `its release, ${node.row.program}, cannot tell other nodes` }, error)
    }
  }
}

export class ClusterOperations implements StoreOperations {
  /** `own`: operations on this node alone. `view`: undefined until this node has joined. */
  constructor(
    private readonly ownName: NodeName,
    private readonly own: StoreOperations,
    private readonly record: () => ControlRecord,
    private readonly view: () => Pick<ClusterView, "nodes" | "isOver"> | undefined,
    private readonly duties: () => readonly Duty[],
  ) {}

  async plan(change: StoreChange): Promise<ChangePlan> {
    const there = this.elsewhere(change)
    if (there === undefined) return this.own.plan(change)
    const { plan, outlook } = await ask(there.node, { kind: "plan", change: there.change }, "planned")
    return { ...plan, ...(outlook !== undefined && { outlook }) }
  }

  async change(
    change: StoreChange,
    confirm: string | undefined,
    lockedBuckets: readonly string[] = [],
    outlook?: string,
  ): Promise<AppliedChange> {
    const there = this.elsewhere(change)
    if (there === undefined) return this.own.change(change, confirm, lockedBuckets, outlook)
    const shown = outlook === undefined ? {} : { outlook }
    const operation = { kind: "change", change: there.change, confirm, lockedBuckets, ...shown } as const
    const { plan, generation } = await ask(there.node, operation, "changed")
    return { plan, generation }
  }

  /** The other node whose folder the change needs. */
  private elsewhere(change: StoreChange): { readonly node: OtherNode; readonly change: FolderChange } | undefined {
    if (change.kind !== "addDevice" && change.kind !== "replaceDevice") return undefined
    const { node: wanted, ...rest } = change
    const node = this.otherNode(wanted ?? (rest.kind === "replaceDevice" ? this.nodeOf(rest.id) : undefined))
    return node && { node, change: rest }
  }

  private nodeOf(id: DeviceId): NodeName | undefined {
    return deviceOf(this.record(), id).home?.node
  }

  /** Returns undefined for this node. Throws `invalidArgument` for a node that does not exist. */
  private otherNode(name: NodeName | undefined): OtherNode | undefined {
    if (name === undefined || name === this.ownName) return undefined
    const node = this.others.find(each => each.name === name)
    if (node === undefined)
      throw fail("invalidArgument", { message: `no node ${name} belongs to this store`, node: name })
    return node
  }

  private get others(): readonly OtherNode[] {
    return this.view()?.nodes ?? []
  }

  async checkDevice(id: DeviceId): Promise<DeviceCheck> {
    const node = this.otherNode(this.nodeOf(id))
    if (node === undefined) return this.own.checkDevice(id)
    const { state, finding } = await ask(node, { kind: "check", id }, "checked")
    return { id, state, finding }
  }

  redundancy(): Promise<RedundancyReport> {
    return this.own.redundancy()
  }

  layoutFile(): LayoutFile {
    return this.own.layoutFile()
  }

  layout(): Promise<LayoutDetails> {
    return this.own.layout()
  }

  setRepairPaused(isPaused: boolean): Promise<void> {
    return this.own.setRepairPaused(isPaused)
  }

  async startScrub(device: DeviceId | undefined): Promise<void> {
    const only = device === undefined ? undefined : this.otherNode(this.nodeOf(device))
    if (only !== undefined) {
      await ask(only, { kind: "scrub", id: device }, "done")
      return
    }
    await this.own.startScrub(device)
    if (device === undefined) await this.scrubElsewhere()
  }

  /** All nodes that can be reached start; the failure names the others. */
  private async scrubElsewhere(): Promise<void> {
    const nodes = this.others.filter(({ row }) => this.view()?.isOver(row.incarnation) !== true)
    const missed: string[] = []
    await mapBounded(nodes, OPERATE_LIMITS.nodesConcurrent, async node => {
      try {
        await ask(node, { kind: "scrub", id: undefined }, "done")
      } catch (error) {
        missed.push(`${node.name} (${asFailure(error).message})`)
      }
    })
    if (missed.length === 0) return
    throw fail("peerUnreachable", { message: `a pass begins on all nodes but ${missed.join(", ")}` })
  }

  pauseScrub(): Promise<void> {
    return this.own.pauseScrub()
  }

  async pending(): Promise<PendingReport> {
    const { node } = this.doing("orphans")
    return node === undefined ? this.own.pending() : ask(node, { kind: "pending" }, "pending")
  }

  async resumeOrphans(): Promise<JobReport> {
    const { node } = this.doing("orphans")
    if (node === undefined) return this.own.resumeOrphans()
    return (await ask(node, { kind: "orphans" }, "job")).job
  }

  async setThrottle(name: string, throttle: number): Promise<JobReport> {
    const { node, job } = this.doing(name)
    if (node === undefined) return this.own.setThrottle(job, throttle)
    return (await ask(node, { kind: "throttle", job, throttle }, "job")).job
  }

  /** All nodes share one control record: any of them can change it. */
  async setJobPaused(name: string, isPaused: boolean): Promise<JobReport> {
    return this.own.setJobPaused(this.doing(name).job, isPaused)
  }

  async wakeJob(name: string): Promise<JobReport> {
    const { node, job } = this.doing(name)
    if (node === undefined) return this.own.wakeJob(job)
    return (await ask(node, { kind: "wake", job }, "job")).job
  }

  backup(): Promise<ReportedBackup> {
    return this.backupBy(false)
  }

  orderBackup(): Promise<ReportedBackup> {
    return this.backupBy(true)
  }

  private async backupBy(isOrdered: boolean): Promise<ReportedBackup> {
    const duty = this.duties().find(({ name }) => name === BACKUP_JOB)
    if (duty !== undefined && duty.node === undefined)
      throw fail("peerUnreachable", { message: "no node makes backups of the metadata now; try again soon" })
    const { node } = this.doing(BACKUP_JOB)
    if (node !== undefined) return (await ask(node, { kind: "backup", isOrdered }, "backup")).backup
    return isOrdered ? this.own.orderBackup() : this.own.backup()
  }

  /** The other node that does a job: the one that its name in `status` tells, or that does it for the whole store. */
  private doing(name: string): { readonly node: OtherNode | undefined; readonly job: string } {
    const named = this.others.find(node => name.endsWith(` on ${node.name}`))
    if (named !== undefined) return { node: named, job: name.slice(0, -` on ${named.name}`.length) }
    const doer = this.duties().find(duty => duty.name === name)?.node
    return { node: this.others.find(node => node.name === doer), job: name }
  }
}
