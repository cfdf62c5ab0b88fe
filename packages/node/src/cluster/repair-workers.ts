/**
 * Repair workers: the nodes of a store share the visits of repair. The node with the lease "repair" decides what is
 * visited (`Repair`), and sends each partition to the node of one of its slots, so that the bytes of a rebuild do not all
 * pass through one node.
 *
 * Promises  A visit is made: if a node refuses it, fails or is lost, by another one, at last by this node. A visit may
 *           be made twice, also at the same time: it writes what is missing, and the same bytes. No node makes a visit
 *           that was ordered under another layout.
 *           The called node has the control record that the visit was decided on, or a later one.
 * Limits    REPAIR_WORKER_LIMITS, REPAIR_CALL_LIMITS.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Incarnation, NodeName } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import {
  decodeRepairOutcome,
  decodeRepairVisit,
  encodeRepairOutcome,
  encodeRepairVisit,
  REPAIR_VISIT_CALL,
  type RepairOutcome,
  type RepairVisit,
} from "@hayloft/engine/format/nodes/repair-calls.js"
import type { RepairWorkers, VisitOrder, VisitsForOthers } from "@hayloft/upkeep/index.js"
import { bytesBody, type RpcMethod, type Peer, type RpcServer } from "@hayloft/engine/rpc/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Log, Metrics, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { RepairPlaces } from "./repair-workers-core.js"
import type { SharedRecordManager } from "./shared-record.js"

const REPAIR_CALL_LIMITS = {
  /** After this time a visit begins no further block; the rest of the partition waits for its next visit. */
  visitMs: 120_000,
  /** The block that was begun last, and the answer. */
  deadlineMs: 240_000,
  /** Visits that this node makes concurrently for others; further ones are refused. */
  servedMax: 64,
  outcomeBytesMax: 16 * MIB,
} as const

const REPAIR_VISIT: RpcMethod<RepairVisit, undefined> = {
  number: REPAIR_VISIT_CALL,
  name: "repairVisit",
  changes: true,
  request: { encode: encodeRepairVisit, decode: decodeRepairVisit },
  response: { encode: () => new Uint8Array(0), decode: () => undefined },
}

interface ServedRepair {
  readonly clock: Clock
  readonly metrics: Metrics
  readonly records: Pick<SharedRecordManager, "record" | "refresh" | "ready">
  readonly visits: Pick<VisitsForOthers, "visit" | "writtenShards">
}

/** Makes visits for the node that coordinates repair. */
export function serveRepair(server: RpcServer, { clock, metrics, records, visits }: ServedRepair): void {
  let serving = 0
  metrics.gauge(
    "hayloft_repair_shards_for_others",
    "Shards that this node has written for the node that coordinates repair",
    () => [[{}, visits.writtenShards]],
  )
  server.handle(REPAIR_VISIT, async (visit, { signal }) => {
    if (serving >= REPAIR_CALL_LIMITS.servedMax) throw fail("tooManyInFlight", { message: "too many visits at a time" })
    serving += 1
    try {
      await records.ready()
      if (records.record.generation < visit.generation) await records.refresh()
      const untilMs = clock.monotonicMs() + REPAIR_CALL_LIMITS.visitMs
      const outcome = await visits.visit(visit, () => signal.aborted || clock.monotonicMs() >= untilMs)
      return { value: undefined, body: bytesBody(encodeRepairOutcome(outcome)) }
    } finally {
      serving -= 1
    }
  })
}

/** Another node, as far as repair is concerned. */
interface RepairPeer {
  readonly name: NodeName
  readonly peer: Pick<Peer, "call">
  /** The reason why it cannot be reached. */
  readonly trouble: string | undefined
}

interface ClusterRepairSeams {
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly record: () => ControlRecord
  /** All other nodes, as far as this one knows them. */
  readonly others: () => readonly RepairPeer[]
  /** The node of a process that is running. */
  readonly nodeOf: (incarnation: Incarnation) => NodeName | undefined
}

export class ClusterRepairWorkers implements RepairWorkers {
  private readonly places: RepairPlaces
  private readonly clock: Clock
  private readonly log: Log
  private readonly visited: Counter
  /** Visits that wait for a place; all look again once one is free. */
  private waiting: (() => void)[] = []

  /** `own`: visits by this node. */
  constructor(
    private readonly seams: ClusterRepairSeams,
    private readonly name: NodeName,
    private readonly own: RepairWorkers,
  ) {
    const { log, metrics } = seams.telemetry
    this.clock = seams.clock
    this.log = log
    this.places = new RepairPlaces(name)
    this.visited = metrics.counter(
      "hayloft_repair_visits_total",
      "Partitions that were visited for this node, or were to be, by node and outcome",
    )
  }

  get count(): number {
    const others = this.usable()
    const nowMs = this.clock.monotonicMs()
    const names = new Set(this.seams.record().devices.map(({ home }) => home?.node))
    return 1 + [...others.keys()].filter(node => names.has(node) && !this.places.rests(node, nowMs)).length
  }

  get takingPart(): number {
    return this.places.takingPart(this.clock.monotonicMs())
  }

  async visit(order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome> {
    const failed = new Set<NodeName>()
    for (;;) {
      const node = await this.place(order, failed)
      try {
        signal.throwIfAborted()
        const outcome = await this.visitBy(node, order, signal)
        this.places.finished(node, this.clock.monotonicMs())
        this.visited.add({ node, outcome: "ok" })
        return outcome
      } catch (error) {
        this.places.failed(node, this.clock.monotonicMs())
        if (node === this.name || signal.aborted || !isFailure(error)) throw error
        this.visited.add({ node, outcome: error.kind })
        this.log.debug("repair_visit_failed", { node, partition: order.partition, error: error.message })
        failed.add(node)
      } finally {
        const { waiting } = this
        this.waiting = []
        for (const wake of waiting) wake()
      }
    }
  }

  /** Waits until one of the nodes that may make the visit has a place. */
  private async place({ slots, by }: VisitOrder, failed: ReadonlySet<NodeName>): Promise<NodeName> {
    for (;;) {
      const usable = this.usable()
      const isUsable = (node: NodeName): boolean => usable.has(node) && !failed.has(node)
      const chosen = by === undefined ? undefined : this.seams.nodeOf(by)
      const candidates = chosen === undefined ? this.nodesOf(slots) : [chosen]
      const node = this.places.begin(candidates, isUsable, this.clock.monotonicMs())
      if (node !== undefined) {
        this.countPassedOver(candidates, node, usable)
        return node
      }
      await new Promise<void>(resolve => this.waiting.push(resolve))
    }
  }

  /** Counts the nodes that come before the one that makes a visit, and cannot be reached. */
  private countPassedOver(candidates: readonly NodeName[], by: NodeName, usable: ReadonlyMap<NodeName, unknown>): void {
    for (const node of candidates) {
      if (node === by) return
      if (node !== this.name && !usable.has(node)) this.visited.add({ node, outcome: "peerUnreachable" })
    }
  }

  private usable(): ReadonlyMap<NodeName, RepairPeer> {
    const usable = this.seams.others().filter(({ trouble }) => trouble === undefined)
    return new Map(usable.map(other => [other.name, other]))
  }

  private nodesOf(slots: VisitOrder["slots"]): readonly NodeName[] {
    const { devices } = this.seams.record()
    const nodes = slots.flatMap(id => devices.find(device => device.id === id)?.home?.node ?? [])
    return [...new Set(nodes)]
  }

  private async visitBy(node: NodeName, order: VisitOrder, signal: AbortSignal): Promise<RepairOutcome> {
    if (node === this.name) {
      const { version } = this.seams.record().layout
      if (version !== order.layoutVersion)
        throw fail("conflict", { message: "the layout has changed since the visit was ordered", version })
      return this.own.visit(order, signal)
    }
    const other = this.usable().get(node)
    if (other === undefined) throw fail("peerUnreachable", { node })
    const { partition, layoutVersion, offline, longPassedOver } = order
    const { deadlineMs, outcomeBytesMax } = REPAIR_CALL_LIMITS
    const { generation } = this.seams.record()
    const visit = { partition, generation, layoutVersion, offline, longPassedOver: [...longPassedOver] }
    const { body } = await other.peer.call(REPAIR_VISIT, visit, { callClass: "background", deadlineMs, signal })
    return decodeRepairOutcome(await body.whole(outcomeBytesMax), partition)
  }
}
